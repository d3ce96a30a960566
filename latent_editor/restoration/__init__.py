"""Repairs of damaged portraits."""

"""Restoration of damaged portraits."""

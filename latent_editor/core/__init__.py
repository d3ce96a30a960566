"""The values that flow through the editor, their files and their errors."""

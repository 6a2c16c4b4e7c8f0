"""The commands as functions: a folder each, and `common` for what they share."""

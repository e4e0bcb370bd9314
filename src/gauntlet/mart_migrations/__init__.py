"""The marts' own tables, step by step; those of each spec are made from the spec."""

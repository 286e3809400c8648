"""Files that an evaluation writes: dumps, stored logits, pictures."""

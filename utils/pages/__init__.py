"""HTML pages of pictures and tables, and the records they are made from."""

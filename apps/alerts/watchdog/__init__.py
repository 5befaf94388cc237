"""Whether the pager itself works, seen and told without the pager: another process, another way out."""

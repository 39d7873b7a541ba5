"""The documents as the pages of a site: README and the others of the first folder beside those of docs/."""

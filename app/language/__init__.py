"""Language servers: what is wrong in a file, where a name is defined, where it is used."""

"""Version of the program, written into the record of every run."""

VERSION = '0.2.0'

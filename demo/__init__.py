"""Stand-ins of the providers, for trying Acuse without any account; the tests of the channels use the same ones."""

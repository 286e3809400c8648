"""Decoders of a pyramid of maps, on hierarchical trunks and on ViTs: FPN, UPerNet, SegFormer, DPT."""

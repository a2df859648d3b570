"""What is proven of a candidate, what is asked for it, and who agreed: packs, proposals and approvals."""

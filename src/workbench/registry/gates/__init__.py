"""What is asked of a candidate before each step, as data (params/gates.yaml), and the answers, in numbers."""

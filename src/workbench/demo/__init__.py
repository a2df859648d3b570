"""The whole way in one command, on the sample market. docs/demo.md says why each act is there."""

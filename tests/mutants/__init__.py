"""Whether the tests can fail: rules are changed one by one, and the narrow tests of each are run (`make mutants APP=contracts`)."""

"""People in the store: who may do what, and the recipients whose data can be erased."""

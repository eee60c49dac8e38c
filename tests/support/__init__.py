"""What tests share: environments, rollouts and models made by hand."""

"""Whether the policy that acted is the policy that learns."""

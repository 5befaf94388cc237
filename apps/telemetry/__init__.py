"""What applications do: tracked events, requests and their durations, sessions, active users."""

"""What is started together, written once for the launch files and the demo."""

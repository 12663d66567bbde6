"""What `make check` looks at: the machine, the settings, the areas, the services and files that come in."""

"""What stands around the platform to watch it: Grafana's dashboards, and configurations for other addresses than compose's."""

"""Generates Grafana's dashboards, and monitoring configurations for addresses other than compose's."""

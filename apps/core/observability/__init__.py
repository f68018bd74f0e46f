"""The identity in log lines, the masking of personal data, metrics of several processes, and spans across processes."""

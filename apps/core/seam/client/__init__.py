"""The caller's end of the seam: choosing a side, sending the call, and handling a missing answer."""

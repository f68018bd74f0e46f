"""The caller's end of the seam: which side answers, how bytes travel there, and what happens when no answer comes."""

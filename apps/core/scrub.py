def scrub_text(text: str) -> str:
    return text
def scrub(value):
    return value

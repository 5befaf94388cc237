class JsonRefused(Exception):
    message = ""
def decode(raw: bytes):
    import json
    return json.loads(raw)

"""The protocols that clients speak, each a translation to and from the same generation.

GET /health          503 {"status": "loading", "progress": 0..1} while the model loads; 503 {"status": "failed",
                     "error": {...}} when it could not be; 200 {"status": "ok", "memory": {"pressure": "normal",
                     "warning" or "critical", "given_back": {NAME: BYTES}}} from then on. It counts as a
                     request: a client that wants an engine with --idle-exit to stay sends it now and then.
GET /v1/models, /v1/models/ID
                     one model, with `context_length` in tokens, `keeps_prefixes` (whether the states of prompts
                     outlive the engine) and `details`, facts for display by name.
POST /v1/chat/completions           OpenAI Chat Completions: see mlx_model.server.wires.chat
POST /v1/completions                OpenAI Completions: see mlx_model.server.wires.completions
POST /v1/responses                  OpenAI Responses: see mlx_model.server.wires.responses
POST /v1/messages, /v1/messages/count_tokens
                                    Anthropic Messages: see mlx_model.server.wires.messages

Every address is there without /v1 too. A body may be packed with gzip, and may begin with a byte order mark.
A stream that has nothing to say for 10 s sends a comment. What of a request the engine had to leave out is
said in the header `X-Tidegate-Warning` of its response. A key is taken as `Authorization: Bearer KEY` or as
`X-Api-Key: KEY`.
"""

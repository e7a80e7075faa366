"""The decoder that comes with Whisper's encoder (Radford et al. 2023), as it is; it writes tokens of its own."""

import torch
from torch import Tensor, nn

from steps.heads.shape import HeadShape
from steps.heads.transcripts import Labels
from steps.nnet.output import ModelOutput
from utils.jobs.packages import import_for


class WhisperDecoderHead(nn.Module):
    """Writes token after token of Whisper's own, which `spell` turns into text. It is not trained.

    Args:
        shape: Of the model; its encoder must be Whisper's.
    """

    is_framewise = False
    unit = "nats/token"

    def __init__(self, shape: HeadShape):
        super().__init__()
        if shape.decoder is None:
            raise ValueError("it goes with encoder = 'whisper'")
        given = shape.decoder
        self.decoder, self.tokenizer = given.module.requires_grad_(False), given.tokenizer
        self.end_id, self.prompt = given.end_id, given.prompt
        self.max_tokens = given.module.embed_positions.num_embeddings - len(given.prompt)
        num_tokens = given.module.embed_tokens.num_embeddings
        self.register_buffer("never", marks(given.never, num_tokens), persistent=False)
        self.register_buffer("not_first", marks(given.not_first, num_tokens), persistent=False)
        self.cache = import_for("head = 'whisper_decoder'", "transformers.cache_utils", "transformers")

    def loss(self, output: ModelOutput, labels: Labels, update: int = 0) -> tuple[Tensor, int]:
        """Nothing: its tokens are not ours."""
        return output.encoder_out.sum() * 0.0, 0

    @staticmethod
    def frames_needed(tokens: tuple[int, ...]) -> int:
        """One: tokens take no frames."""
        return 1

    def start(self, encoder_out: Tensor, lengths: Tensor) -> dict[str, Tensor]:
        """What `step` begins with, for N hypotheses."""
        return {"encoder_out": encoder_out}

    def step(self, tokens: Tensor, state: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """(N, L) tokens so far -> (N, V) log-probabilities of the next, and the new state."""
        is_first = tokens.size(1) == 0
        prompt = torch.tensor(self.prompt, device=tokens.device).expand(len(tokens), -1)
        out = self.decoder(
            input_ids=prompt if is_first else tokens[:, -1:],
            encoder_hidden_states=state["encoder_out"],
            past_key_values=self.to_cache(state),
            use_cache=True,
        )
        logits = nn.functional.linear(out.last_hidden_state[:, -1], self.decoder.embed_tokens.weight).float()
        logits = logits.masked_fill(self.never | (self.not_first if is_first else False), -torch.inf)
        return logits.log_softmax(-1), {"encoder_out": state["encoder_out"], **to_state(out.past_key_values)}

    def to_cache(self, state: dict[str, Tensor]) -> object:
        """The keys and values of what was written and heard, as transformers holds them; at first there are none."""
        parts = self.cache.DynamicCache(), self.cache.DynamicCache()
        for part, name in zip(parts, ("own", "heard"), strict=True):
            for i in range(len(self.decoder.layers) if f"{name}_keys.0" in state else 0):
                part.update(state[f"{name}_keys.{i}"], state[f"{name}_values.{i}"], i)
        return self.cache.EncoderDecoderCache(*parts)

    def spell(self, ids: list[int]) -> str:
        """The text of token ids."""
        return self.tokenizer.decode(ids, skip_special_tokens=True).strip()


def to_state(cache: object) -> dict[str, Tensor]:
    """The tensors of a cache by name, the first axis that of hypotheses."""
    parts = {"own": cache.self_attention_cache.layers, "heard": cache.cross_attention_cache.layers}
    found = {}
    for name, layers in parts.items():
        for i, layer in enumerate(layers):
            found |= {f"{name}_keys.{i}": layer.keys, f"{name}_values.{i}": layer.values}
    return found


def marks(token_ids: list[int], num_tokens: int) -> Tensor:
    """(V,) bool: True on some tokens."""
    found = torch.zeros(num_tokens, dtype=torch.bool)
    found[token_ids] = True
    return found

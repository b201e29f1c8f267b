"""Wrong and right solutions of assignment 6."""

from dataclasses import replace

import numpy as np

import minitvlt as mt
from minitvlt.backends import namespace
from minitvlt.model.pretraining import count_targets
from minitvlt.training.objectives import compute_pretraining

from . import mutant, variant

# ---- draw


def plain_batch(world, config, rng, count, **options):
    return mt.make_batch(world.sample(rng, count), config, rng, **options)


@mutant("draw", "from `rng`")
def draw_1(world, config, rng, count):
    def mask_video(clips, config, rng):
        return mt.random_masking(np.random.default_rng().random((count, 8)), 0.5, clips.video_mask)

    return plain_batch(world, config, rng, count, mask_video=mask_video)


@mutant("draw", "padding is hidden")
def draw_2(world, config, rng, count):
    batch = plain_batch(world, config, rng, count)
    return replace(
        batch, audio_masking=replace(batch.audio_masking, is_hidden=batch.audio_masking.restore >= 3)
    )


@mutant("draw", ("padding is kept", "padding is hidden"))
def draw_3(world, config, rng, count):
    return plain_batch(
        world,
        config,
        rng,
        count,
        mask_audio=lambda clips, config, rng: mt.random_masking(rng.random((count, 6)), 0.5),
    )


@mutant("draw", "both kept and hidden")
def draw_4(world, config, rng, count):
    batch = plain_batch(world, config, rng, count)
    flipped = ~batch.video_masking.is_hidden
    return replace(batch, video_masking=replace(batch.video_masking, is_hidden=flipped))


@mutant("draw", "shape")
def draw_5(world, config, rng, count):
    return plain_batch(world, config, rng, 4)


@mutant("draw", "float64")
def draw_6(world, config, rng, count):
    batch = plain_batch(world, config, rng, count)
    return replace(batch, audio=batch.audio + np.zeros(1))


@mutant("draw", "nothing is hidden")
def draw_7(world, config, rng, count):
    def keep_all(N):
        return lambda clips, config, rng: mt.random_masking(rng.random((count, N)), 0.0)

    batch = plain_batch(world, config, rng, count)
    if batch.video_mask is not None:
        return batch
    clips = world.sample(rng, count)
    return mt.make_batch(clips, config, rng, mask_video=keep_all(8), mask_audio=keep_all(6))


@mutant("draw", "lead back")
def draw_8(world, config, rng, count):
    batch = plain_batch(world, config, rng, count)
    masking = batch.video_masking
    return replace(batch, video_masking=replace(masking, restore=np.argsort(masking.restore, axis=1)))


@mutant("draw", "different seeds")
def draw_9(world, config, rng, count):
    rng = np.random.default_rng(0)
    return plain_batch(world, config, rng, count)


@mutant("draw", "mt.make_batch")
def draw_10(world, config, rng, count):
    return world.sample(rng, count)


@mutant("draw", "neither kept nor hidden")
def draw_11(world, config, rng, count):
    batch = plain_batch(world, config, rng, count)
    masking = batch.video_masking
    counts = masking.keep_is_real.copy()
    counts[:, 0] = False
    return replace(batch, video_masking=replace(masking, keep_is_real=counts))


@mutant("draw", "is_match")
def draw_12(world, config, rng, count):
    batch = plain_batch(world, config, rng, count)
    return replace(batch, is_match=np.ones(count, bool))


@variant("draw")
def draw_v1(world, config, rng, count):
    return plain_batch(world, config, rng, count)


@variant("draw")
def draw_v2(world, config, rng, count):
    def mask_tubes(clips, config, rng):
        h, w = config.image_grid
        T = clips.video.shape[1]
        noise = np.tile(rng.random((len(clips.video), h * w)), (1, T))
        noise = noise + 1e-6 * np.arange(T * h * w)
        return mt.random_masking(noise, config.pixel_mask_ratio, clips.video_mask)

    return plain_batch(world, config, rng, count, mask_video=mask_tubes)


@variant("draw")
def draw_v3(world, config, rng, count):
    def mask_frames(clips, config, rng):
        T, n = clips.video.shape[1], int(np.prod(config.image_grid))
        return mt.frame_masking(rng.random((len(clips.video), T)), 0.5, n, clips.video_mask)

    return plain_batch(world, config, rng, count, mask_video=mask_frames)


@variant("draw")
def draw_v4(world, config, rng, count):
    clips = world.sample(rng, count)
    return mt.make_batch(clips, config.replace(audio_mask_type="speech-span", audio_mask_ratio=0.75), rng)


@variant("draw")
def draw_v5(world, config, rng, count):
    """Missing modality: in about a third of the clips all audio is hidden, in another third all video."""
    clips = world.sample(rng, count)
    kinds = rng.integers(3, size=(count, 1))

    def mask(N, kind):
        def choose(clips, config, rng):
            mask = clips.video_mask if kind == 1 else clips.audio_mask
            real = np.ones((count, N), bool) if mask is None else mask
            masking = mt.random_masking(rng.random((count, N)), 0.5, real)
            gone = kinds == kind
            return replace(
                masking,
                is_hidden=np.where(gone, real, masking.is_hidden),
                keep_is_real=masking.keep_is_real & ~gone,
            )

        return choose

    return mt.make_batch(clips, config, rng, mask_video=mask(8, 1), mask_audio=mask(6, 2))


# ---- compute_loss


@mutant("compute_loss", "counts")
def compute_loss_1(params, part, counts):
    loss, numbers = compute_pretraining(params, part, count_targets(part))
    return loss, numbers


@mutant("compute_loss", "padding")
def compute_loss_2(params, part, counts):
    bare = replace(part, video_mask=None, audio_mask=None, mixed_video_mask=None)
    return compute_pretraining(params, bare, counts)


@mutant("compute_loss", "one number")
def compute_loss_3(params, part, counts):
    logits = mt.score_matches(params, part.mixed_video, part.audio, part.mixed_video_mask, part.audio_mask)
    return logits * logits / counts.match, {"logit": 0.0}


@mutant("compute_loss", "dictionary")
def compute_loss_4(params, part, counts):
    loss, numbers = compute_pretraining(params, part, counts)
    return loss, loss


@mutant("compute_loss", "gradient")
def compute_loss_5(params, part, counts):
    loss, numbers = compute_pretraining(params, part, counts)
    xp = namespace(loss)
    return np.float64(xp.to_numpy(loss)) if hasattr(xp, "to_numpy") else loss, numbers


@mutant("compute_loss", "doubled")
def compute_loss_7(params, part, counts):
    loss, numbers = compute_pretraining(params, part, counts)
    penalty = sum(namespace(x).sum(x * x) for x in mt.flatten(params).values())
    return loss + 0.001 * penalty, numbers


@mutant("compute_loss", "in place")
def compute_loss_8(params, part, counts):
    for array in mt.flatten(params).values():
        if isinstance(array, np.ndarray):
            array *= 0.9
    return compute_pretraining(params, part, counts)


@mutant("compute_loss", "two results")
def compute_loss_9(params, part, counts):
    return mt.pretraining_loss(params, part, counts)


@variant("compute_loss")
def compute_loss_v1(params, part, counts):
    return compute_pretraining(params, part, counts)


@variant("compute_loss")
def compute_loss_v2(params, part, counts):
    out = mt.pretraining_loss(params, part, counts)
    return out.loss, {"match_loss": out.match_loss}


@variant("compute_loss")
def compute_loss_v3(params, part, counts):
    """Contrastive."""
    out = mt.pretraining_loss(params, part, counts)
    video = mt.forward(params, part.video, None, part.video_mask, None).cls
    audio = mt.forward(params, None, part.audio, None, part.audio_mask).cls
    xp = namespace(video, audio)
    video, audio = (x / xp.sqrt(xp.sum(x * x, axis=1, keepdims=True)) for x in (video, audio))
    chances = xp.softmax(xp.matmul(audio, xp.permute_dims(video, (1, 0))) * 10.0)
    own = xp.sum(chances * np.eye(len(part.audio), dtype=part.audio.dtype), axis=1)
    contrastive = -xp.sum(xp.log(own)) / counts.match
    return out.loss + contrastive, {"contrastive": contrastive}


@variant("compute_loss")
def compute_loss_v4(params, part, counts):
    """Reconstruction alone."""
    out = mt.pretraining_loss(params, part, counts)
    return out.video_loss + 2.0 * out.audio_loss, {"video_loss": out.video_loss, "audio_loss": out.audio_loss}


# ---- predict_hidden


@mutant("predict_hidden", "two arrays")
def predict_hidden_1(params, batch):
    return mt.autoencode(params, batch)[0]


@mutant("predict_hidden", "shape")
def predict_hidden_2(params, batch):
    return mt.autoencode(params, batch)[::-1]


@mutant("predict_hidden", "must not see")
def predict_hidden_3(params, batch):
    p, q = params.config.image_patch_size, params.config.audio_patch_size
    return mt.patchify_video(batch.video, p), mt.patchify_audio(batch.audio, q)


@mutant("predict_hidden", "must not see")
def predict_hidden_4(params, batch):
    out = mt.forward(params, batch.video, batch.audio)
    video, audio = mt.autoencode(params, batch)
    return video + out.video[..., :1], audio + out.audio[..., :1]


@mutant("predict_hidden", "other clips")
def predict_hidden_5(params, batch):
    video, audio = mt.autoencode(params, batch)
    return video - video.mean(axis=0), audio


@mutant("predict_hidden", "not finite")
def predict_hidden_6(params, batch):
    video, audio = mt.autoencode(params, batch)
    return video, np.log(audio - 100)


@mutant("predict_hidden", "shape")
def predict_hidden_7(params, batch):
    video, audio = mt.autoencode(params, batch)
    (T, _, H, W), (S, F) = batch.video.shape[1:], batch.audio.shape[2:]
    p, q = params.config.image_patch_size, params.config.audio_patch_size
    return mt.unpatchify_video(video, p, (T, H, W)), mt.unpatchify_audio(audio, q, (S, F))


@variant("predict_hidden")
def predict_hidden_v1(params, batch):
    return mt.autoencode(params, batch)


@variant("predict_hidden")
def predict_hidden_v2(params, batch):
    out = [
        mt.autoencode(params, mt.map_tree(lambda x, b=b: x[b : b + 1], batch))
        for b in range(len(batch.audio))
    ]
    return tuple(np.concatenate(rows) for rows in zip(*out, strict=True))


@variant("predict_hidden")
def predict_hidden_v3(params, batch):
    video, audio = mt.autoencode(params, batch)
    p, q = params.config.image_patch_size, params.config.audio_patch_size
    video = mt.paste_visible(video, mt.patchify_video(batch.video, p), batch.video_masking.is_hidden)
    return video, mt.paste_visible(audio, mt.patchify_audio(batch.audio, q), batch.audio_masking.is_hidden)


@variant("predict_hidden")
def predict_hidden_v4(params, batch):
    return [np.clip(rows, -1, 1) for rows in mt.autoencode(params, batch)]


# ---- score_pairs


def embed(params, clips):
    video = mt.forward(params, clips.video, None, clips.video_mask, None).cls
    audio = mt.forward(params, None, clips.audio, None, clips.audio_mask).cls
    return tuple(x / np.linalg.norm(x, axis=1, keepdims=True) for x in (video, audio))


@mutant("score_pairs", "swapped")
def score_pairs_1(params, clips):
    return mt.score_all_pairs(params, clips).T


@mutant("score_pairs", "other clips")
def score_pairs_2(params, clips):
    scores = np.exp(mt.score_all_pairs(params, clips))
    return scores / scores.sum(axis=1, keepdims=True)


@mutant("score_pairs", "scores")
def score_pairs_3(params, clips):
    return mt.score_matches(params, clips.video, clips.audio)


@mutant("score_pairs", ("same", "change places"))
def score_pairs_4(params, clips):
    return np.eye(len(clips.audio))


@mutant("score_pairs", "same")
def score_pairs_5(params, clips):
    return np.zeros((len(clips.audio), len(clips.audio)))


@mutant("score_pairs", "other clips")
def score_pairs_6(params, clips):
    video, audio = embed(params, clips)
    video = video - video.mean(axis=0)
    return audio @ video.T


@mutant("score_pairs", "finite")
def score_pairs_7(params, clips):
    video, audio = embed(params, clips)
    return np.log(audio @ video.T - 5)


@variant("score_pairs")
def score_pairs_v1(params, clips):
    return mt.score_all_pairs(params, clips)


@variant("score_pairs")
def score_pairs_v2(params, clips):
    video, audio = embed(params, clips)
    return audio @ video.T


@variant("score_pairs")
def score_pairs_v3(params, clips):
    video, audio = embed(params, clips)
    return np.einsum("ad,vd->av", audio, video) + 0.1 * mt.score_all_pairs(params, clips)


@variant("score_pairs")
def score_pairs_v4(params, clips):
    video, audio = embed(params, clips)
    return -np.sum((audio[:, None] - video[None]) ** 2, axis=-1)


# ---- written later, before anything in the judges was made for them


@mutant("draw", ("clip", "kept", "shape"))
def draw_new1(world, config, rng, count):
    b = mt.make_batch(world.sample(rng, count), config, rng)
    return replace(b, video_masking=replace(b.video_masking, keep=b.video_masking.keep[:1]))


@mutant("draw", ("twice",))
def draw_new2(world, config, rng, count):
    b = mt.make_batch(world.sample(rng, count), config, rng)
    k = b.video_masking.keep.copy()
    k[:, 1] = k[:, 0]
    return replace(b, video_masking=replace(b.video_masking, keep=k))


@mutant("draw", ("[-1, 1]",))
def draw_new3(world, config, rng, count):
    b = mt.make_batch(world.sample(rng, count), config, rng)
    return replace(b, video=(b.video + 1) * np.float32(127.5))


@mutant("draw", ("seed", "earlier", "state"))
def draw_new4(world, config, rng, count, calls=[]):  # noqa: B006
    calls.append(1)
    return mt.make_batch(world.sample(np.random.default_rng(len(calls)), count), config, rng)


@mutant("draw", ("mask", "masking"))
def draw_new5(world, config, rng, count):
    def mask(clips, config, rng):
        return rng.random((count, 8)) < 0.5

    return mt.make_batch(world.sample(rng, count), config, rng, mask_video=mask)


@mutant("draw", ("None", "returns"))
def draw_new6(world, config, rng, count):
    mt.make_batch(world.sample(rng, count), config, rng)


@mutant("draw", ("padding",))
def draw_new7(world, config, rng, count):
    b = mt.make_batch(world.sample(rng, count), config, rng)
    return replace(b, video_mask=None, audio_mask=None)


@mutant("compute_loss", ("half", "divided"))
def compute_loss_new1(params, part, counts):
    v = mt.forward(params, part.video, None, part.video_mask).cls
    xp = namespace(v)
    return mt.pretraining_loss(params, part, counts).loss + xp.mean(v * v), {}


@mutant("compute_loss", ("np", "numpy", "namespace"))
def compute_loss_new2(params, part, counts):
    v = mt.forward(params, part.video, None, part.video_mask).cls
    return np.sum(np.exp(v)) / counts.match, {}


@mutant("compute_loss", ("float", "gradient", "number"))
def compute_loss_new3(params, part, counts):
    return float(mt.pretraining_loss(params, part, counts).loss), {}


@mutant("compute_loss", ("finite",))
def compute_loss_new4(params, part, counts):
    loss = mt.pretraining_loss(params, part, counts).loss
    xp = namespace(loss)
    return xp.log(loss - 1000.0), {}


@mutant("compute_loss", ("padding",))
def compute_loss_new5(params, part, counts):
    out = mt.pretraining_loss(params, part, counts)
    a = mt.forward(params, None, part.audio).cls
    xp = namespace(a)
    return out.loss + xp.sum(a * a) / counts.match, {}


@mutant("compute_loss", ("dictionary",))
def compute_loss_new6(params, part, counts):
    out = mt.pretraining_loss(params, part, counts)
    return out.loss, [out.match_loss]


@mutant("predict_hidden", ("other clips", "padding", "shape"))
def predict_hidden_new1(params, batch):
    v, a = mt.autoencode(params, batch)
    return v * 0 + v.mean(axis=(0, 1)), a


@mutant("predict_hidden", ("shape",))
def predict_hidden_new2(params, batch):
    v, a = mt.autoencode(params, batch)
    return v[batch.video_masking.is_hidden], a[batch.audio_masking.is_hidden]


@mutant("predict_hidden", ("None", "return"))
def predict_hidden_new3(params, batch):
    mt.autoencode(params, batch)


@mutant("score_pairs", ("change places", "swapped", "order"))
def score_pairs_new1(params, clips):
    s = mt.score_all_pairs(params, clips)
    return s[::-1]


@mutant("score_pairs", ("shape", "scores"))
def score_pairs_new2(params, clips):
    return np.diag(mt.score_all_pairs(params, clips))


@mutant("score_pairs", ("other clips",))
def score_pairs_new3(params, clips):
    s = mt.score_all_pairs(params, clips)
    return np.argsort(np.argsort(s, axis=1), axis=1).astype(float)


@mutant("score_pairs", ("other clips", "scores"))
def score_pairs_new4(params, clips):
    return mt.score_all_pairs(params, clips) > 0


@mutant("draw", "padding is hidden")
def draw_new_padding(world, config, rng, count):
    b = mt.make_batch(world.sample(rng, count), config, rng)
    lost = rng.random((count, 1)) < 0.4
    masking = b.audio_masking
    hidden, counts = masking.is_hidden | lost, masking.keep_is_real & ~lost
    return replace(b, audio_masking=replace(masking, is_hidden=hidden, keep_is_real=counts))


@mutant("compute_loss", "float32")
def compute_loss_new_overflow(params, part, counts):
    out = mt.pretraining_loss(params, part, counts)
    video = mt.forward(params, part.video, None, part.video_mask, None).cls
    audio = mt.forward(params, None, part.audio, None, part.audio_mask).cls
    xp, own = namespace(video, audio), np.eye(len(part.audio), dtype=part.audio.dtype)
    weights = xp.exp(xp.matmul(audio, xp.permute_dims(video, (1, 0))) / 0.02)
    term = -xp.sum(xp.log(xp.sum(weights * own, axis=1) / xp.sum(weights, axis=1))) / counts.match
    return out.loss + term, {"contrastive": term}


@mutant("score_pairs", "padding")
def score_pairs_new_padding(params, clips):
    return mt.score_all_pairs(params, replace(clips, video_mask=None, audio_mask=None))


@mutant("score_pairs", "equal")
def score_pairs_new_decisions(params, clips):
    scores = mt.score_all_pairs(params, clips)
    return (scores == scores.max(axis=1, keepdims=True)) * 1.0

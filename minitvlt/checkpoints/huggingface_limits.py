"""What the classes of transformers 4.40.2 cannot hold, and what they do otherwise with the same weights."""

from minitvlt.model.parameters import Params


def check_sayable(params: Params) -> None:
    """Raise a ValueError that says why no class of transformers computes what these parameters do."""
    obstacles = [*_list_parts_too_many(params), *_list_classifier_obstacles(params)]
    obstacles += _list_table_obstacles(params)
    reasons = [reason for is_so, reason in obstacles if is_so]
    if reasons:
        raise ValueError(f"No class of transformers holds this model: {'; '.join(reasons)}.")


def _list_parts_too_many(params: Params) -> list[tuple[bool, str]]:
    has_task = params.decoder is not None or params.matching is not None
    return [
        (
            params.classifier is not None and has_task,
            "it has a classifier as well as parts for pre-training; drop one kind with "
            "dataclasses.replace(params, classifier=None) or (params, decoder=None, matching=None)",
        ),
        (
            params.ranking is not None,
            "it has a ranking head; drop it with dataclasses.replace(params, ranking=None)",
        ),
    ]


def _list_classifier_obstacles(params: Params) -> list[tuple[bool, str]]:
    config = params.config
    if params.classifier is None:
        return []
    return [
        (config.pooling != "cls", f"its classifier reads the {config.pooling} of tokens"),
        (config.classifier_pooler, "its classifier has a pooler"),
        (
            config.classifier_norm_eps != config.layer_norm_eps,
            f"classifier_norm_eps {config.classifier_norm_eps} and layer_norm_eps {config.layer_norm_eps} "
            "are one there",
        ),
    ]


def _list_table_obstacles(params: Params) -> list[tuple[bool, str]]:
    config, has_decoder = params.config, params.decoder is not None
    rows, bins = params.encoder.audio_positions.frequency.shape[0], config.audio_grid[1]
    p, q = config.image_patch_size
    return [
        (rows != bins, f"it has {rows} frequency positions, and {bins} rows of patches"),
        (has_decoder and config.joint_decoder, "its decoder runs on both modalities jointly"),
        (has_decoder and p != q, f"its decoder gives patches of {p}×{q} pixels, and theirs squares alone"),
        (has_decoder and not _are_tables_alike(params), "encoder and decoder have tables of unlike lengths"),
    ]


def _are_tables_alike(params: Params) -> bool:
    lengths = [
        (
            part.video_positions.time.shape[0],
            part.audio_positions.time.shape[0],
            part.audio_positions.frequency.shape[0],
        )
        for part in (params.encoder, params.decoder)
    ]
    return lengths[0] == lengths[1]


def list_differences(params: Params) -> list[str]:
    """Say where a model of transformers with these weights will do otherwise than ours does."""
    differences = [*_list_differences_in_tasks(params), *_list_differences_in_inputs(params)]
    return [difference for is_so, difference in differences if is_so]


def _list_differences_in_tasks(params: Params) -> list[tuple[bool, str]]:
    config, has_decoder = params.config, params.decoder is not None
    weights = [config.mae_weight] * has_decoder + [config.matching_weight] * (params.matching is not None)
    return [
        (
            has_decoder and not config.cls_in_autoencoding,
            "it has cls among the tokens when hidden patches are filled in",
        ),
        (any(weight != 1 for weight in weights), "it adds the losses without weights"),
        (
            has_decoder and config.audio_mask_type == "speech-span",
            'it knows no "speech-span" masking of sound: "patch_level" is written for it',
        ),
        (
            has_decoder and config.audio_mask_type != "frame-level",
            'its training fails with "patch_level" masking of sound (use "frame-level" there)',
        ),
        (
            params.classifier is not None and config.loss_type not in ("classification", "regression"),
            f'it computes no loss for loss_type="{config.loss_type}"',
        ),
    ]


def _list_differences_in_inputs(params: Params) -> list[tuple[bool, str]]:
    config, encoder = params.config, params.encoder
    frames, steps = encoder.video_positions.time.shape[0], encoder.audio_positions.time.shape[0]
    return [
        (
            config.token_order != "video-first",
            "it puts the tokens of video before those of sound (their values are the same)",
        ),
        (
            config.num_frames > frames,
            f"it takes {frames} frames at most, as many as there are positions, not {config.num_frames}",
        ),
        (
            config.audio_grid[0] > steps,
            f"it takes {steps} steps of sound patches at most, not {config.audio_grid[0]}",
        ),
    ]

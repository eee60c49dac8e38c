"""What is promised of runs that fail, and the tests that hold each promise to be so, beside their control arms."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Promise:
    """A promise, its tests, and the tests that show that the fault is one: without protection it does harm.

    Attributes:
        text: the promise in one sentence.
        tests: ids of pytest, without parameters.
        controls: those of the control arms; seeded bugs, which must be caught, count as such.
    """

    text: str
    tests: tuple[str, ...]
    controls: tuple[str, ...] = ()


def of(file: str, *tests: str) -> tuple[str, ...]:
    """Return the ids of tests of a file in tests/, whose names are given without "test_"."""
    return tuple(f"tests/{file}.py::test_{test}" for test in tests)


WRITERS, DAMAGE = "durability/test_killed_writers", "durability/test_damaged_files"
CHECKPOINTS = "durability/test_damaged_checkpoints"
RESUMING, KILLED, SIGNALS = (f"durability/test_{name}" for name in ("resume", "killed_runs", "signals"))
DISKS, RUN_DISK, FOLDERS = (f"durability/test_{name}" for name in ("full_disks", "run_disk", "run_folders"))
WRONG, FINITE, SPACES = "durability/test_misbehaving_environments", "agents/test_not_finite", "agents/test_every_space"
ADAPTER, HOSTILE, ERRORS = "collection/test_env_adapter", "cli/test_hostile_folders", "cli/test_command_errors"

RESUME = (
    *of(RESUMING, "every_agent_goes_on_with_the_same_bits_in_another_process"),
    *of(KILLED, "another_command_goes_on_with_the_same_bits"),
    *of(KILLED, "a_run_that_is_killed_again_and_again_is_the_run_that_was_not"),
)

PROMISES = {
    "R1": Promise(
        "A writer of an agent of 4 MiB that is killed at any instant leaves the former agent or the new one, whole.",
        of(
            WRITERS,
            "a_writer_that_is_killed_at_any_time_leaves_one_of_the_two_agents",
            "a_writer_that_is_killed_at_any_step_leaves_one_of_the_two_agents",
            "a_first_save_that_is_killed_leaves_the_agent_or_nothing",
        ),
        of(
            WRITERS,
            "control_a_writer_that_overwrites_in_place_loses_the_agent",
            "control_the_writer_with_two_renames_loses_both_agents_and_leaves_its_folder",
        ),
    ),
    "R2": Promise(
        "A run that is resumed in a fresh process, also in the middle of episodes, has the bits of one never stopped.",
        RESUME[:2],
        of(RESUMING, "each_part_of_a_checkpoint_is_missed"),
    ),
    "R3": Promise(
        "A run that is killed twenty times is the run that was never killed.",
        (RESUME[2], *of(KILLED, "another_process_goes_on_with_the_same_bits")),
        of(KILLED, "control_a_run_that_begins_anew_after_a_kill_loses_its_steps"),
    ),
    "R4": Promise(
        "Truncated, flipped, missing, swapped and later files are named; the checkpoint before is used.",
        (
            *of(DAMAGE, "every_flipped_bit_is_seen_and_the_file_named", "every_truncation_is_seen"),
            *of(DAMAGE, "another_agents_file_in_its_place_is_seen", "a_manifest_of_a_later_version_says_so"),
            *of(CHECKPOINTS, "flipped_bits_are_seen", "truncations_are_seen"),
            *of(CHECKPOINTS, "files_that_are_missing_or_another_checkpoints_are_seen"),
            *of("training/test_resuming", "the_checkpoint_before_a_damaged_one_is_used_and_said"),
        ),
        of(
            DAMAGE,
            "control_flipped_bits_load_without_a_manifest",
            "control_another_agents_file_loads_without_a_manifest",
        ),
    ),
    "R5": Promise(
        "Wherever a disk becomes full, what was saved stays whole; a run learns on and says what is missing.",
        (
            *of(DISKS, "files_that_cannot_grow_leave_the_former_agent", "a_full_disk_leaves_the_former_agent"),
            *of(RUN_DISK, "a_disk_that_is_full_from_some_step_on_costs_only_what_comes_later"),
            *of(RUN_DISK, "a_disk_on_which_there_is_room_again_gets_the_agent"),
            *of(RUN_DISK, "a_folder_that_vanishes_costs_the_metrics_and_not_the_agent"),
        ),
        (
            *of(DISKS, "control_a_writer_that_overwrites_in_place_loses_the_agent"),
            *of(RUN_DISK, "tensorboards_own_writer_raises_in_the_training"),
        ),
    ),
    "R6": Promise(
        "A run folder that cannot be made or written is refused within a second, before anything is computed.",
        of(
            RUN_DISK,
            "a_run_whose_folder_cannot_be_made_is_refused_within_a_second",
            "the_command_line_refuses_it_too",
            "a_run_does_not_begin_on_a_full_disk",
        ),
        of(RUN_DISK, "control_tensorboards_own_writer_raises_what_the_system_says"),
    ),
    "R7": Promise(
        "Runs that begin in one second have folders of their own; a folder has one writer, and a killed one lets go.",
        (
            *of(FOLDERS, "eight_starts_in_one_second_make_eight_folders"),
            *of("training/test_resuming", "a_second_writer_is_refused_until_the_first_has_ended_or_was_killed"),
            *of("training/test_resuming", "of_two_that_begin_in_one_folder_one_is_refused"),
        ),
        of(FOLDERS, "control_folders_named_by_the_second_are_shared"),
    ),
    "R8": Promise(
        "SIGTERM (143) and Ctrl-C (130) end a run in order within 10 s with a checkpoint, two at once; no orphans.",
        of(
            SIGNALS,
            "a_signal_ends_a_run_in_order_with_a_checkpoint_of_its_last_step",
            "a_second_signal_ends_the_run_at_once",
            "a_second_signal_loses_no_file",
            "workers_end_with_the_run",
            "a_step_that_takes_too_long_is_left_unfinished",
        ),
        of(SIGNALS, "a_signal_that_is_not_heeded_loses_the_agent"),
    ),
    "R9": Promise(
        "Pickles, code, specs, paths, links and giant headers in files run nothing and take little memory.",
        (
            *of("durability/test_payloads", "no_payload_runs"),
            *of(DAMAGE, "hostile_files_cost_neither_seconds_nor_memory"),
            *of(HOSTILE, "nothing_is_imported_for_a_run_folder"),
            *of("test_manifest", "no_file_outside_the_folder_is_read", "a_pipe_in_place_of_a_file_is_not_waited_for"),
        ),
        (
            *of("durability/test_payloads", "control_payloads_run_where_they_are_believed"),
            *of(DAMAGE, "control_a_header_takes_seconds_and_memory_without_a_limit"),
        ),
    ),
    "R10": Promise(
        "Nothing calls pickle, eval, exec or an unsafe loader; the same scan finds them in a text that does.",
        of(FOLDERS, "nothing_that_is_read_can_run_code"),
    ),
    "R11": Promise(
        "NaN and ±∞ in rewards, observations, logits, losses, gradients say where; nothing is learned.",
        (
            *of(
                FINITE,
                "a_refused_rollout_leaves_everything_as_it_was",
                "the_first_action_of_such_parameters_is_an_error",
            ),
            *of(FINITE, "the_environment_the_step_and_the_seed_are_named"),
            *of("collection/test_env_faults", "what_is_not_finite_is_refused_by_environment_and_step"),
            *of("agents/test_base", "gradients_that_are_not_finite_change_nothing"),
        ),
        of(FINITE, "seeded_bugs"),
    ),
    "R12": Promise(
        "Every space works, or is refused when the agent is made, with the fix; actions are always valid.",
        of(SPACES, "agents_of_every_kind_take_every_action_space", "agents_learn_from_it_and_survive_a_file"),
        of(SPACES, "seeded_bugs"),
    ),
    "R13": Promise(
        "An environment that raises or exits in init, reset, step or close is named within 5 s, alone and in workers.",
        of(
            WRONG,
            "what_fails_is_named_with_row_step_and_seed",
            "what_fails_while_it_is_made_in_a_worker_is_named_with_its_row",
            "what_fails_to_close_is_over_in_time",
        ),
        of(WRONG, "gymnasium_alone_does_not_say_what_failed_while_it_was_made"),
    ),
    "R14": Promise(
        "One that hangs is an error within the time limit and two seconds, and is not stepped again.",
        of(
            WRONG,
            "what_hangs_is_an_error_after_the_timeout_and_is_not_stepped_again",
            "workers_are_limited_in_other_threads_too",
            "evaluation_and_training_by_id_end_in_time_and_close_what_they_made",
        ),
        of(WRONG, "gymnasium_alone_waits_for_ever_and_then_takes_a_late_answer_for_the_next"),
    ),
    "R15": Promise(
        "A worker that is killed is named within 5 s; no process and no shared memory is left.",
        of(WRONG, "a_killed_worker_is_named_in_time", "workers_end_with_a_run_that_is_killed_though_they_hang"),
        of(WRONG, "gymnasium_alone_does_not_name_a_killed_worker", "gymnasium_alone_leaves_a_worker_that_hangs"),
    ),
    "R16": Promise(
        "The three autoreset modes give the same transitions, also where an environment uses its arrays again.",
        of(
            ADAPTER,
            "modes_give_the_same_valid_transitions",
            "modes_agree_on_registered_environments",
            "async_environments_give_the_same_transitions",
            "environments_that_reuse_their_observation_array",
            "vector_environments_that_reuse_their_observation_array",
        ),
        of(ADAPTER, "seeded_bugs"),
    ),
    "R17": Promise(
        "Episodes of one step, half truncated, of mixed lengths and without end give no NaN in metrics.",
        of("training/test_lengths", "no_metric_is_nan"),
    ),
    "R18": Promise(
        "Observations of 64 MiB and 100,000 actions are learned from in bounded memory or refused with the arithmetic.",
        of("policies/test_memory_limit", "what_does_not_fit_is_refused_with_the_arithmetic", "what_fits_is_made"),
        of("policies/test_memory_limit", "seeded_bugs"),
    ),
    "R19": Promise(
        "Environments that are made and closed a thousand times leave no descriptor, no thread and no memory.",
        of(WRONG, "making_and_closing_leaves_no_descriptor_no_thread_and_no_memory"),
        of(WRONG, "control_what_is_not_closed_keeps_its_descriptors"),
    ),
    "R20": Promise(
        "Bits depend neither on hash seeds nor on -O nor on global generators, which are left alone.",
        (
            *of(FOLDERS, "bits_depend_neither_on_hashes_nor_on_optimization"),
            *of("training/test_loop", "the_same_seed_gives_the_same_bits", "global_generators_are_left_alone"),
            *of("training/test_resuming", "what_differs_is_said"),
        ),
        of("training/test_loop", "another_seed_gives_others"),
    ),
    "R24": Promise(
        "A user's mistake is one line with argument, value and fix, and exit code 2; one of ours keeps its traceback.",
        of(ERRORS, "bad_input_is_one_line_that_names_argument_value_and_way_out", "what_tyro_refuses_exits_with_2"),
        of(ERRORS, "mistakes_of_ours_keep_their_traceback", "seeded_bugs"),
    ),
}

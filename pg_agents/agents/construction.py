"""Making agents for an environment, for spaces or from a folder, and saving them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

from torch import nn

from pg_agents.agents.common.compatibility import check_batch
from pg_agents.agents.common.configured import C, Configured
from pg_agents.agents.common.files import write_agent
from pg_agents.agents.common.loading import read_agent
from pg_agents.agents.common.make_agent import Form, env_defaults, make_parts
from pg_agents.agents.common.make_learners import seeds_of_learners
from pg_agents.agents.common.one_learner import learner_of
from pg_agents.elsewhere import refuse_policy_names, with_names_checked
from pg_agents.generators import make_generators
from pg_agents.llm import LanguageConfig
from pg_agents.llm.make_language_networks import base_folder, language_policy
from pg_agents.llm.take_away import Adapters
from pg_agents.policies import NetworkConfig, Policy
from pg_agents.seeding import Purpose, spawn
from pg_agents.spaces.conversion import space_to_json, spaces_of
from pg_agents.spaces.environments import open_env
from pg_agents.spaces.wrappers import Wrapper


class Constructed(Configured[C]):
    """A configured module with networks, made for an environment's spaces or loaded from a folder."""

    name: ClassVar[str]  # on the command line and in files
    policy_defaults: ClassVar[dict[type[nn.Module], dict[str, Any]]] = {}  # of `for_env`, for policies or their parts
    action_values: ClassVar[bool] = False  # whether its critic is Q(s,·) instead of V(s)
    differentiates_twice: ClassVar[bool] = False  # whether it needs second derivatives of its policy
    separate_networks: ClassVar[bool] = False  # whether policy and critic must not share parameters
    policy: Policy
    spaces: tuple[Any, Any] | None  # of observations and actions; None: it was made of the user's networks
    learned_in: tuple[Any, Any] | None = None  # with the user's networks: the spaces of its latest environment
    steps_for_envs: int | None = (
        None  # the number of environments of which num_steps is the default; None: it was given
    )
    networks: dict[str, Any]  # the given options of the networks
    seeds: Sequence[int]  # of each learner
    generator: Any  # of the order of minibatches; of several learners `Generators`

    def __new__(cls, *positional: Any, **named: Any) -> Self:  # noqa: ANN401, D102
        if positional or ("env" in named and "policy" not in named):
            refuse_policy_names(positional, f"write {cls.__name__}.for_env(env)", called=cls.__name__)
            what = "positional arguments" if positional else "env"
            raise TypeError(f"{cls.__name__} takes no {what}: write {cls.__name__}.for_env(env)")
        return super().__new__(cls)

    @classmethod
    @with_names_checked
    def for_env(
        cls,
        env: Any,  # noqa: ANN401
        *,
        num_envs: int | None = None,
        env_args: Mapping[str, Any] | None = None,
        wrappers: Iterable[str | Wrapper] | None = None,
        seed: int = 0,
        config: C | None = None,
        network: NetworkConfig | LanguageConfig | None = None,
        **options: Any,  # noqa: ANN401
    ) -> Self:
        """Return an agent with networks that suit the environment's spaces.

        Args:
            env: any Gymnasium environment, single or vector, or an environment's id.
            num_envs: if `env` is an id, the number of environments that each learner will learn from; None: 8.
                Defaults such as num_steps follow from it, so give `train` the same.
            env_args: if `env` is an id, arguments for the environment's constructor.
            wrappers: if `env` is an id, wrappers of `gymnasium.wrappers` for each single environment, in this
                order, like "FrameStackObservation:stack_size=4".
            seed: of the initial parameters and the order of minibatches; torch's global generator is not changed.
                Several learners have seed, seed + 1, …, unless `seeds` are given.
            config: options of the agent; those that were not given have defaults for the environment and the networks.
            network: options of the networks, or of a language model.
            **options: fields of both, which take precedence; policy="hf:PATH" uses a language model. encoder=… is a
                module from observations to features, to be used instead of one that suits their space. Several
                learners may have a list, with a value or a schedule for each, of learning_rate, entropy_weight,
                discount and all others whose type says so.

        Raises:
            ValueError: an option is out of range.
            TypeError: there is no such option.
            UnsupportedSpaceError: there is no network for the spaces.
            UserError: the id is unknown, or its environment cannot be made.
        """
        seeds, options = seeds_of_learners(seed, options, network)
        with open_env(env, num_envs, env_args, wrappers=wrappers, num_learners=len(seeds)) as made:
            return cls._for(made, seed, options, config=config, network=network)

    @classmethod
    def _for(cls, env: Any, seed: int, options: dict[str, Any], *, config: Any, **how: Any) -> Self:  # noqa: ANN401
        aggregation = options.get("aggregation", getattr(config, "aggregation", None))
        learners = len(seeds_of_learners(seed, options, how["network"])[0])
        found = env_defaults(cls.form(), env, aggregation, learners)
        agent = cls._made(spaces_of(env), seed, options, config=config, env_defaults=found, **how)
        count = getattr(env, "num_envs", 1)
        check_batch(agent, count)
        steps, own = found.get("num_steps"), {**options, **({} if config is None else config.given_options())}
        if steps is not None and "num_steps" not in own and agent.num_steps == steps:
            agent.steps_for_envs = count // learners
        return agent

    @classmethod
    def for_spaces(
        cls,
        observation_space: Any,  # noqa: ANN401
        action_space: Any,  # noqa: ANN401
        *,
        seed: int = 0,
        config: C | None = None,
        network: NetworkConfig | LanguageConfig | None = None,
        **options: Any,  # noqa: ANN401
    ) -> Self:
        """Return an agent with networks that suit the spaces of one environment; see `for_env`."""
        return cls._made((observation_space, action_space), seed, options, config=config, network=network)

    @classmethod
    def _made(cls, spaces: tuple[Any, Any], seed: int, options: dict[str, Any], **how: Any) -> Self:  # noqa: ANN401
        seeds, options = seeds_of_learners(seed, options, how.get("network"))
        parts = make_parts(cls.form(), spaces, seeds, options, **how)
        agent = cls(**parts.networks, **parts.options)
        agent.spaces, agent.networks = spaces, parts.network_options | ({"seeds": [*seeds]} if len(seeds) > 1 else {})
        agent.seeds, agent.generator = seeds, make_generators([spawn(one, Purpose.MINIBATCHES) for one in seeds])
        return agent

    def learner(self, index: int) -> Self:
        """Return one of several independent learners as an agent of its own, which can act, be saved and learn on.

        Args:
            index: from 0 to `num_learners` − 1.

        Raises:
            ValueError: there is no such learner, or the agent was made of the user's networks.
        """
        return learner_of(self, index)

    @classmethod
    def form(cls) -> Form:
        """Return the facts about the class that are needed to make an agent."""
        if not hasattr(cls, "config_class"):
            raise TypeError(f"{cls.__name__}: state its configuration: class {cls.__name__}(Agent[...Config])")
        if not hasattr(cls, "name"):
            raise TypeError(f"{cls.__name__}: give the class a name, as files and the command line have it")
        kinds = cls.policy_defaults, cls.needs_critic, cls.action_values
        needs = cls.differentiates_twice, cls.separate_networks
        return Form(cls.__name__, cls.name, cls.config_class, *kinds, *needs)

    @classmethod
    def needs_critic(cls, config: Any) -> bool:  # noqa: ANN401
        """Return whether an agent with this configuration has a critic."""
        return "critic_learning_rate" in config.options()

    def save(self, path: str | Path) -> None:
        """Write the agent to the folder `path`: its options and spaces as JSON, its parameters as safetensors.

        That suffices for acting, evaluating and fine-tuning; the optimizer's state is not saved. The folder is replaced
        when the new one is complete and on the disk: see `pg_agents.folders`.

        Raises:
            SavedAgentError: the path holds anything else than a saved agent.
            NotSavedError: the files cannot be written; what was there before is as it was.
        """
        description: dict[str, Any] = {"agent": self.name, "arguments": self.arguments, "networks": self.networks}
        if self.learned_in is not None:
            description["learned_in"] = list(map(space_to_json, self.learned_in))
        write_agent(Path(path), description, self.spaces, self, self.policy.write_files)

    def save_pretrained(
        self, path: str | Path, *, adapters: Adapters = "merged", base: str | Path | None = None
    ) -> None:
        """Write the agent's language model to a folder that transformers and vLLM load.

        `AutoModelForCausalLM.from_pretrained(path)` has the policy's logits, and its generation configuration the
        policy's temperature, top-k and top-p. The folder is whole or not there: see `pg_agents.folders`.

        Args:
            path: a new or empty folder, or one that this method wrote, which is replaced.
            adapters: "merged" into the model's parameters, or "apart", as peft's folder of adapters alone.
            base: with "apart", the folder or the name of the base model; None: that of policy="hf:PATH".

        Raises:
            UserError: the agent's policy is no language model.
            ValueError: `adapters` is neither, or does not suit the model; the base model is not known.
            SavedFilesError: the path holds anything else.
            NotSavedError: the files cannot be written; what was there before is as it was.
        """
        policy = language_policy(self.policy, "; save(path) keeps any agent")
        if adapters == "apart" and base is None and "policy" in self.networks:
            base = base_folder(self.networks["policy"])
        policy.save_pretrained(path, adapters=adapters, base=base)

    @classmethod
    def load(cls, path: str | Path, **networks: Any) -> Any:  # noqa: ANN401
        """Return the agent that `save` wrote to the folder `path`; of a class that is abstract, any agent of its kind.

        Args:
            path: the folder.
            **networks: policy=… and, if it has one, critic=…, for an agent that was made of the user's networks;
                encoder=… for one that was made with the user's encoder.

        Raises:
            SavedAgentError: no agent there, one of another class, a damaged one, or parameters that do not fit.
        """
        known = {cls.name: cls} if hasattr(cls, "name") else {form.name: form for form in _named(cls)}
        return read_agent(Path(path), known, networks)


def _named(cls: type[Any]) -> Iterator[type[Any]]:
    """Yield the classes derived from one that have a name of their own."""
    for derived in cls.__subclasses__():
        if "name" in vars(derived):
            yield derived
        yield from _named(derived)

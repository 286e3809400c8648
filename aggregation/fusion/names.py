"""Names of a fusion: its ways, scores and files, apart from what they compute.

The flags need them, and are checked before torch is imported, which takes seconds.
"""

from utils.outputs.kinds import KINDS, LOGITS, MASK_SCORES, PROBABILITIES

__all__ = ['KINDS', 'LOGITS', 'MASK_SCORES', 'PROBABILITIES']  # of stored numbers
METHODS = ('temperature', 'vector', 'isotonic')  # of a calibration

# What labels come from, and the meaning of each (aggregation/fusion/scores.py computes them).
FUSIONS = {
    'mean': 'arithmetic mean of probabilities',
    'max': 'largest probability of any member',
    'min': 'smallest probability of any member',
    'geometric': 'normalised geometric mean of probabilities',
    'mean_logit': 'softmax of the mean logit',
    'vote': 'share of members that choose the class',
}
# What a confidence comes from; all are high where a pixel is uncertain or anomalous.
SCORES = {
    'msp': '1 - largest mean probability',
    'msp_min': '1 - largest of the smallest probabilities over members',
    'msp_logit': '1 - largest softmax of the mean logit',
    'least_sure': '1 - largest probability of the least sure member',
    'entropy': 'entropy of the mean probability, total uncertainty',
    'expected_entropy': 'mean entropy of the members, aleatoric',
    'mutual_information': 'entropy of the mean minus mean entropy, epistemic',
    'variance': 'variance of the probability over members, summed over classes',
    'disagreement': '1 - share of the most voted class',
    'max_logit': '- largest mean logit',
    'energy': '- logsumexp of the mean logit (Liu et al. 2020)',
    'rba': '- sum of tanh of the mean logit: rejected by all (Nayal et al. 2023)',
    'mask_rba': '- sum of tanh of the mean mask score: in the mask of no class (RbA, Nayal et al. 2023)',
    'mask_max': '1 - largest mean mask score (Mask2Anomaly, Rai et al. 2023)',
}
# Names of the published aggregation, and what they mean here.
PUBLISHED_LABELS = {'mean': 'mean', 'max': 'max', 'min': 'min'}
PUBLISHED_SCORES = {'max_softmax_mean_softmax': 'msp', 'max_softmax_min_softmax': 'msp_min', 'rba_mean_logit': 'rba'}

RECORD = 'fusion.json'
PREDICTION, CONFIDENCE = '_pred.png', '_conf.png'
KEY = 'value'  # of a score map in its .npz

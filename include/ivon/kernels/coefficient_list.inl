// SPDX-License-Identifier: Apache-2.0
// The list of the numbers that the update takes besides PosteriorScale. It is included several
// times, each time with another definition of IVON_COEFFICIENT(name, value): for the fields of
// UpdateCoefficients, for the fields of the kernels' copy in packs, and to compute each value in
// double from `options` and `step`. `step` is the number of the parameter's update, counted from 1.
//
// A bound stands beside its negative: in another order GCC keeps other values in registers, and the
// update of large tensors takes 3 % longer with AVX2.
//
// To add a coefficient: add a line here and use its name in update() of kernels/math.inl.

IVON_COEFFICIENT(beta1, options.beta1())
IVON_COEFFICIENT(one_minus_beta1, 1.0 - options.beta1())
// Computed in double, because 1 - 0.99999f in float32 is wrong by 0.1 %.
IVON_COEFFICIENT(one_minus_beta2, 1.0 - options.beta2())
// Bound on |hhat - h| / (h + delta), > 0.
IVON_COEFFICIENT(hess_clip, options.hess_clip())
IVON_COEFFICIENT(minus_hess_clip, -options.hess_clip())
// 1 / (1 - beta1^t) with debias, else 1.
IVON_COEFFICIENT(debias, debias_factor(options, step))
// lr (h0 + delta) with rescale_lr, else lr.
IVON_COEFFICIENT(step_size, options.lr() * step_size_per_lr(options))
// Bound on one element of the preconditioned step, > 0.
IVON_COEFFICIENT(clip_radius, options.clip_radius())
IVON_COEFFICIENT(minus_clip_radius, -options.clip_radius())
// What decoupled weight decay leaves of the mean.
IVON_COEFFICIENT(kept_mean, 1.0 - options.lr() * options.decoupled_weight_decay())
// With damping: the smallest Hessian, > 0.
IVON_COEFFICIENT(smallest_hess, options.damping() * options.eps())
// With damping: weights of the old square of h and of the new square of the gradient. Their sum
// over a run is that of AdamW's debiased mean square.
IVON_COEFFICIENT(square_weight, options.damping() * options.damping() * square_rate(options, step))
IVON_COEFFICIENT(kept_square, 1.0 - square_rate(options, step))

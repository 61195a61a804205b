// SPDX-License-Identifier: Apache-2.0
// The list of IVON's options. options.hpp includes it several times, each time with another
// definition of the macro
//
//   IVON_OPTION(type, name, default, valid, rule, remedy)
//
// to make the accessors, to write, read, inherit and compare the options, and to validate them.
// `valid` is the condition that `value` must meet. If it does not meet the condition,
// IVONOptions::validate() throws the error "ivon: <name> <rule>, got <value>; <remedy>". lr, beta1
// and beta2 are not in this list but in options.hpp, because they are not stored as one member
// each.

/// lambda: effective sample size, > 0 and finite; it must be set. Usually it is the number N of
/// training examples. N / T gives a posterior of temperature T.
IVON_OPTION(double, ess, 0.0, value > 0, "must be > 0", "set it to the number of training examples")
/// h0: initial value of the Hessian, > 0. Usual values are 0.01 to 1; a smaller value makes the
/// first samples noisier.
IVON_OPTION(double, hess_init, 1.0, value > 0 && value < kInfinity, "must be finite and > 0",
            "use 0.01 to 1")
/// delta: prior precision divided by lambda, >= 0. It acts on the noise, the Hessian and the step,
/// as an L2 regulariser of the mean loss and not as AdamW's decoupled decay.
IVON_OPTION(double, weight_decay, 1e-4, value >= 0 && value < kInfinity, "must be finite and >= 0",
            "the default is 1e-4")
/// Bound, > 0, on every element of the preconditioned step before it is multiplied by the step
/// size. Infinity means no bound.
IVON_OPTION(double, clip_radius, std::numeric_limits<double>::infinity(), value > 0, "must be > 0",
            "infinity switches clipping off")
/// Bound on outliers of the Hessian estimate hhat, > 0: |hhat - h| is limited to hess_clip (h +
/// delta), and with damping |hhat| is limited to hess_clip h. Infinity means no bound.
IVON_OPTION(double, hess_clip, std::numeric_limits<double>::infinity(), value > 0, "must be > 0",
            "infinity switches clipping off")
/// D: damping of the Hessian, >= 0; 0 switches it off. With damping the Hessian of an element is at
/// least about D times the root mean square of its gradient, with beta2 as the decay of the mean
/// square, and the learning rate is AdamW's: the step is lr times D times the clipped direction.
/// docs/algorithm.md has the formulas. IVONOptions::like_adamw() sets it.
IVON_OPTION(double, damping, 0.0, value >= 0 && value < kInfinity, "must be finite and >= 0",
            "0 switches damping off")
/// With damping: a root mean square of a gradient below this value counts as this value, > 0.
/// AdamW's eps has the same purpose and the same default.
IVON_OPTION(double, eps, 1e-8, value > 0 && value < kInfinity, "must be finite and > 0",
            "the default is 1e-8")
/// Bound, > 0, on the standard deviation of every weight in a sample. Infinity means no bound.
IVON_OPTION(double, noise_max, std::numeric_limits<double>::infinity(), value > 0, "must be > 0",
            "infinity means no bound")
/// Decoupled weight decay, >= 0, as AdamW's: every step multiplies the mean by
/// 1 - lr * decoupled_weight_decay. It is no part of the posterior, unlike weight_decay.
IVON_OPTION(double, decoupled_weight_decay, 0.0, value >= 0 && value < kInfinity,
            "must be finite and >= 0", "AdamW's default is 0.01")
/// Whether the update divides the momentum by 1 - beta1^t.
IVON_OPTION(bool, debias, true, true, "", "")
/// Whether the update multiplies lr by hess_init + weight_decay.
IVON_OPTION(bool, rescale_lr, true, true, "", "")
/// Number of samples that step(closure) draws, >= 1. It has one value for the whole optimizer.
IVON_OPTION(int64_t, mc_samples, 1, value >= 1, "must be >= 1", "the usual value is 1")
/// Whether step() also draws the next sample and leaves it in the module, so that a training loop
/// for AdamW works unchanged. It has one value for the whole optimizer; load() does not change it.
IVON_OPTION(bool, sample_on_step, false, true, "", "")
/// Whether, for parameters on CUDA devices, step counts, noise position and learning rate are kept
/// in device memory, so that a captured CUDA graph can be replayed. PyTorch's optimizers have an
/// option of this name. With it, param_state() and save() wait for the device and read its memory,
/// and lr(value) and set_lr(value) of the options write to it. It has one value for the whole
/// optimizer; load() does not change it.
IVON_OPTION(bool, capturable, false, true, "", "")

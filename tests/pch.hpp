// SPDX-License-Identifier: Apache-2.0
// Precompiled for all test programs. Only headers that are not ours: a change in ivon rebuilds the
// tests, not this.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <nlohmann/json.hpp>

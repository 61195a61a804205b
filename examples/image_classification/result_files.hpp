// SPDX-License-Identifier: Apache-2.0
// The result of a training as files.
#pragma once

#include <filesystem>

#include "common/settings.hpp"
#include "comparison.hpp"

namespace image_classification {

// Writes `folder`/result.json and `folder`/predictions.pt.
void save_result(const std::filesystem::path& folder, const examples::Json& fingerprint,
                 const Result& result);

// Reads them into `result`. False if they are not there or are of other settings.
bool load_result(const std::filesystem::path& folder, const examples::Json& fingerprint,
                 Result& result);

}  // namespace image_classification

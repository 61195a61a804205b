// SPDX-License-Identifier: Apache-2.0
// The commands of the program. Each prints what it found and writes files to --out.
#pragma once

#include <string>
#include <vector>

#include "common/settings.hpp"
#include "settings.hpp"

namespace gpt2 {

// Makes token files and a vocabulary from a text, in --out.
void prepare(const Settings& s);

// Makes multiple-choice questions from a text, in --out.
void questions(const Settings& s);

// Prints the token ids of a file.
void tokenize(const Settings& s, const std::vector<std::string>& files);

// Trains one model per seed, scores it, saves it in <out>/<optimizer>-<seed> and prints some text
// that it generates.
void train(Settings& s, const examples::Settings& list);

// Adapts the model of --trained to another text or to questions.
void finetune(Settings& s, const examples::Settings& list);

// Prints text that the model of --trained generates.
void generate(const Settings& s);

// Prints how well the model of --trained predicts a text.
void perplexity(const Settings& s, const examples::Settings& list);

// Writes the model of --trained, adapters merged, for transformers.
void export_model(const Settings& s);

}  // namespace gpt2

// SPDX-License-Identifier: Apache-2.0
// One list of an example's settings. Each is declared once; from the list come the command-line
// options, the JSON that is written beside the results, preset files, and the fingerprint that a
// checkpoint is compared by.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace examples {

using Json = nlohmann::ordered_json;

enum class Effect {
  kTraining,  // changes the course of training: part of the fingerprint
  kOther,     // output, display and test time: may differ when a run is resumed
};

class Settings {
 public:
  using Value = std::variant<double*, int64_t*, int*, bool*, std::string*>;

  // Declares a setting. `name` is its name everywhere ("hess-init": option --hess-init, the same
  // key in JSON). `value` points to the variable, holds the default, and must outlive this list.
  // `check` is applied to the command line and to presets. Throws std::logic_error for a name that
  // was declared before.
  void add(const std::string& name, Value value, const std::string& help, Effect effect,
           const CLI::Validator& check = CLI::Validator());
  template <class T>
  void add(const std::string& name, T& value, const std::string& help, Effect effect,
           const CLI::Validator& check = CLI::Validator()) {
    add(name, Value(&value), help, effect, check);
  }

  // For a choice that brings defaults of other settings with it: calls `changed` as soon as the
  // command line or a preset has set the string `name`, before the other settings are set. If a
  // preset chooses something else than the command line, `changed` is called again for the choice
  // of the command line, so that the preset's values for the choice that lost do not stay. A choice
  // that the command line makes when it stands already changes nothing.
  void on_change(const std::string& name, std::function<void()> changed);

  // One option for each setting (a bool becomes --name and --no-name), and --config FILE. The
  // preset is read where --config stands; an option of the command line wins, before or after it.
  // `after_preset`, which may be empty, is called when a preset has been read. This list must
  // outlive `app`.
  void add_options(CLI::App& app, std::function<void()> after_preset = {});

  // All settings in the order of their declaration. An infinite double is the string "inf".
  Json to_json() const;

  // Sets the settings that `json` holds and leaves the others. Throws std::runtime_error, naming
  // `source` (a file name) and the setting, for an unknown name, a wrong type or a value out of
  // range; then no setting has changed.
  void from_json(const Json& json, const std::string& source);

  // from_json() of a JSON file. Throws std::runtime_error for a missing or malformed file.
  void read_preset(const std::filesystem::path& file);

  // The settings of Effect::kTraining but those named in `without`.
  Json fingerprint(const std::vector<std::string>& without = {}) const;

 private:
  struct Setting {
    std::string name, help;
    Value value;
    Effect effect;
    CLI::Validator check;
    std::function<void()> changed;     // may be empty
    std::optional<std::string> given;  // by the command line, where there is `changed`
  };

  // Makes the choices of the command line again, which a preset may have replaced.
  void choose_given();

  std::vector<Setting> settings_;
};

// The differences of two fingerprints, one line each without a line end:
// "lr: 0.3 in the checkpoint, 0.1 now". Empty where there are none.
std::vector<std::string> differences(const Json& checkpoint, const Json& now);

}  // namespace examples

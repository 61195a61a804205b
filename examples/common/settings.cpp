// SPDX-License-Identifier: Apache-2.0
#include "common/settings.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <functional>
#include <limits>
#include <stdexcept>
#include <type_traits>
#include <utility>

namespace examples {
namespace {

template <class T>
Json value_to_json(const T& value) {
  if constexpr (std::is_same_v<T, double>) {
    if (!std::isfinite(value)) return fmt::format("{}", value);  // JSON knows no infinity
  }
  return value;
}

// The types of a JSON value as a person calls them.
template <class T>
constexpr const char* expected_type() {
  if constexpr (std::is_same_v<T, double>) return "a number";
  if constexpr (std::is_same_v<T, bool>) return "true or false";
  if constexpr (std::is_same_v<T, std::string>) return "a string";
  return "a whole number";
}

// `json` as a T; false where it is of another type or does not fit.
template <class T>
bool read_value(const Json& json, T& value) {
  if constexpr (std::is_same_v<T, double>) {
    if (json == "inf") {
      value = std::numeric_limits<double>::infinity();
      return true;
    }
    if (!json.is_number()) return false;
  } else if constexpr (std::is_same_v<T, bool>) {
    if (!json.is_boolean()) return false;
  } else if constexpr (std::is_same_v<T, std::string>) {
    if (!json.is_string()) return false;
  } else {
    if (!json.is_number_integer()) return false;
    if (json.is_number_unsigned()) {
      if (json.get<uint64_t>() > static_cast<uint64_t>(std::numeric_limits<T>::max())) return false;
    } else if (json.get<int64_t>() < std::numeric_limits<T>::min()) {
      return false;
    }
  }
  value = json.get<T>();
  return true;
}

}  // namespace

void Settings::add(const std::string& name, Value value, const std::string& help, Effect effect,
                   const CLI::Validator& check) {
  for (const Setting& s : settings_) {
    if (s.name == name) throw std::logic_error("the setting '" + name + "' is declared twice");
  }
  settings_.push_back({name, help, value, effect, check, {}, {}});
}

void Settings::on_change(const std::string& name, std::function<void()> changed) {
  for (Setting& s : settings_) {
    if (s.name == name && std::holds_alternative<std::string*>(s.value)) {
      s.changed = std::move(changed);
      return;
    }
  }
  throw std::logic_error("there is no setting '" + name + "' that is a string");
}

void Settings::choose_given() {
  for (const Setting& s : settings_) {
    if (!s.given) continue;
    auto* value = std::get<std::string*>(s.value);
    if (*value == *s.given) continue;
    *value = *s.given;
    s.changed();
  }
}

void Settings::add_options(CLI::App& app, std::function<void()> after_preset) {
  for (size_t i = 0; i < settings_.size(); ++i) {
    Setting& s = settings_[i];
    s.given.reset();
    if (s.changed) {
      app.add_option_function<std::string>(
             "--" + s.name,
             [this, i](const std::string& given) {
               settings_[i].given = given;
               choose_given();
             },
             s.help)
          ->default_str(*std::get<std::string*>(s.value))
          ->check(s.check)
          ->trigger_on_parse();
      continue;
    }
    std::visit(
        [&](auto* value) {
          if constexpr (std::is_same_v<decltype(value), bool*>) {
            app.add_flag(fmt::format("--{0},!--no-{0}", s.name), *value, s.help);
          } else {
            app.add_option("--" + s.name, *value, s.help)->capture_default_str()->check(s.check);
          }
        },
        s.value);
  }
  // CLI11 assigns all options after the whole line is parsed, but calls this one at once.
  app.add_option_function<std::string>(
         "--config",
         [this, after_preset = std::move(after_preset)](const std::string& file) {
           read_preset(file);
           choose_given();
           if (after_preset) after_preset();
         },
         "JSON file with settings; options of the command line win")
      ->trigger_on_parse();
}

Json Settings::to_json() const {
  Json json = Json::object();
  for (const Setting& s : settings_) {
    json[s.name] = std::visit([](const auto* value) { return value_to_json(*value); }, s.value);
  }
  return json;
}

void Settings::from_json(const Json& json, const std::string& source) {
  if (!json.is_object()) {
    throw std::runtime_error(fmt::format("{}: must be a JSON object of settings", source));
  }
  // Done when all values are known to be good, those that bring defaults with them first.
  std::vector<std::function<void()>> choices, assignments;
  for (const auto& [name, entry] : json.items()) {
    const auto found = std::find_if(settings_.begin(), settings_.end(),
                                    [&n = name](const Setting& s) { return s.name == n; });
    if (found == settings_.end()) {
      throw std::runtime_error(fmt::format(
          "{}: there is no setting '{}'; --print-config lists all settings", source, name));
    }
    const Setting& s = *found;
    const Json& given = entry;
    std::visit(
        [&](auto* target) {
          using T = std::remove_pointer_t<decltype(target)>;
          T value{};
          if (!read_value(given, value)) {
            throw std::runtime_error(fmt::format("{}: '{}' must be {}, got {}", source, s.name,
                                                 expected_type<T>(), given.dump()));
          }
          const std::string problem = s.check(fmt::format("{}", value));
          if (!problem.empty()) {
            throw std::runtime_error(fmt::format("{}: '{}': {}", source, s.name, problem));
          }
          if (s.changed) {
            choices.push_back([target, value, changed = s.changed] {
              *target = value;
              changed();
            });
          } else {
            assignments.push_back([target, value] { *target = value; });
          }
        },
        s.value);
  }
  for (const auto& choose : choices) choose();
  for (const auto& assign : assignments) assign();
}

void Settings::read_preset(const std::filesystem::path& file) {
  std::ifstream in(file);
  if (!in) throw std::runtime_error(fmt::format("{}: cannot be opened", file.string()));
  Json json;
  try {
    json = Json::parse(in);
  } catch (const nlohmann::json::exception& error) {
    throw std::runtime_error(fmt::format("{}: is not JSON: {}", file.string(), error.what()));
  }
  from_json(json, file.string());
}

Json Settings::fingerprint(const std::vector<std::string>& without) const {
  Json json = to_json();
  for (const Setting& s : settings_) {
    if (s.effect != Effect::kTraining) json.erase(s.name);
  }
  for (const std::string& name : without) json.erase(name);
  return json;
}

std::vector<std::string> differences(const Json& checkpoint, const Json& now) {
  const auto text = [](const Json& in, const std::string& name) {
    return in.contains(name) ? in[name].dump() : "not set";
  };
  std::vector<std::string> lines;
  const auto compare = [&](const std::string& name) {
    const std::string before = text(checkpoint, name), after = text(now, name);
    if (before != after) {
      lines.push_back(fmt::format("{}: {} in the checkpoint, {} now", name, before, after));
    }
  };
  for (const auto& [name, value] : checkpoint.items()) compare(name);
  for (const auto& [name, value] : now.items()) {
    if (!checkpoint.contains(name)) compare(name);
  }
  return lines;
}

}  // namespace examples

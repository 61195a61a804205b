// SPDX-License-Identifier: Apache-2.0
// Shared libraries of one process, each with an ivon of its own: another version, or hidden
// symbols.
#include <dlfcn.h>

#include <string>

#include "pch.hpp"
#include "support.hpp"

namespace {

using ivon_test::same_bits;

// tests/libraries/library.cpp as one of the libraries that tests/CMakeLists.txt builds.
class Library {
 public:
  explicit Library(const std::string& name)
      : handle_(dlopen((IVON_TEST_LIBRARIES "/libivon_test_" + name + ".so").c_str(),
                       RTLD_NOW | RTLD_GLOBAL)) {
    if (handle_ == nullptr) throw std::runtime_error(dlerror());
  }
  template <class Function>
  Function* get(const char* name) const {
    return reinterpret_cast<Function*>(dlsym(handle_, name));
  }
  std::string version() const { return get<const char*()>("version")(); }

 private:
  void* handle_;  // stays loaded
};

class User {
 public:
  User(const Library& library, const torch::Tensor& weight)
      : library_(library), user_(library.get<void*(const torch::Tensor*)>("make_user")(&weight)) {}
  ~User() { library_.get<void(void*)>("destroy_user")(user_); }
  User(const User&) = delete;
  User& operator=(const User&) = delete;

  std::string show() {  // the error, if any
    char message[1000] = "";
    library_.get<bool(void*, char*, size_t)>("show_sample")(user_, message, sizeof(message));
    return message;
  }
  void hide() { library_.get<void(void*)>("hide_sample")(user_); }
  void train(int steps) { library_.get<void(void*, int)>("train")(user_, steps); }

 private:
  const Library& library_;
  void* user_;
};

torch::Tensor ramp() { return torch::linspace(-1, 1, 100).requires_grad_(); }

TEST(Libraries, OfDifferentVersionsTrainSideBySide) {
  const Library own("own"), other("other_version");
  ASSERT_NE(own.version(), other.version());
  auto a = ramp(), b = ramp();
  {
    User with_own(own, a), with_other(other, b);
    with_own.train(10);
    with_other.train(10);
    EXPECT_EQ(with_own.show(), "");
    EXPECT_EQ(with_other.show(), "");
    with_own.hide();
    with_other.hide();
    with_other.train(10);
    with_own.train(10);
  }
  EXPECT_TRUE(same_bits(a, b)) << "the two versions differ in layout only";
  EXPECT_FALSE(same_bits(a, ramp()));
}

TEST(Libraries, ShareTheListOfShownSamples) {
  const Library own("own");
  for (const char* name : {"other_version", "hidden"}) {
    const Library other(name);
    auto weight = ramp();
    User first(own, weight), second(other, weight);
    EXPECT_EQ(first.show(), "");
    EXPECT_EQ(second.show(),
              "ivon: parameter 0 (group 0, shape [100]) must hold its own value, but it shows a "
              "sample of another optimizer; end the scope of that one's sampled_params() first")
        << name;
    first.hide();
    EXPECT_EQ(second.show(), "") << name;
    EXPECT_NE(first.show(), "") << name;
    second.hide();
    EXPECT_TRUE(same_bits(weight, ramp())) << name;
  }
}

}  // namespace

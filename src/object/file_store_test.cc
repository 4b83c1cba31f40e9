#include "object/file_store.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <optional>

#include <boost/asio/co_spawn.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "object/limits.h"
#include "object/object_file.h"

namespace gantry::object {
namespace {

namespace fs = std::filesystem;

/// Gives its bytes in pieces; ends with an error if `broken`.
class PiecesBody : public net::BodyReader {
 public:
  explicit PiecesBody(std::string bytes, std::size_t piece_bytes = 50'000, bool broken = false)
      : bytes_(std::move(bytes)), piece_bytes_(piece_bytes), broken_(broken) {}
  Async<std::string> read_some() override {
    std::string piece = bytes_.substr(std::min(at_, bytes_.size()), piece_bytes_);
    at_ += piece.size();
    if (piece.empty() && broken_) throw Error(ErrorCode::unavailable, "the client went away");
    co_await yield_now();
    co_return piece;
  }

 private:
  std::string bytes_;
  std::size_t piece_bytes_;
  bool broken_;
  std::size_t at_ = 0;
};

/// Never gives anything.
class SilentBody : public net::BodyReader {
 public:
  Async<std::string> read_some() override {
    co_await event.wait();
    co_return std::string();
  }
  Event event;
};

std::string some_bytes(std::size_t count) {
  std::string bytes(count, '\0');
  std::uint32_t state = 12345;
  for (char& c : bytes) {
    state = state * 1664525 + 1013904223;
    c = static_cast<char>(state >> 24);
  }
  return bytes;
}

class FileStoreTest : public testing::Test {
 protected:
  FileStoreTest() : env_(io_) {
    std::string pattern = (fs::temp_directory_path() / "gantry-object-XXXXXX").string();
    root_ = ::mkdtemp(pattern.data());
    open_store();
  }
  ~FileStoreTest() override {
    store_.reset();
    fs::remove_all(root_);
  }

  void open_store() {
    store_.reset();
    store_ = make_file_store(env_, directory());
  }
  std::string directory() const { return root_ + "/objects"; }
  std::size_t temp_files() const {
    return static_cast<std::size_t>(std::distance(fs::directory_iterator(directory() + "/temp"), {}));
  }
  std::vector<fs::path> object_files() const {
    std::vector<fs::path> files;
    for (const auto& entry : fs::recursive_directory_iterator(directory() + "/objects")) {
      if (entry.is_regular_file()) files.push_back(entry.path());
    }
    return files;
  }

  /// Runs the io_context until `done()`; fails the test after a minute without an event. What the pool does by itself,
  /// such as removing a file, is no event: hence the small steps.
  void run_until(const std::function<bool()>& done) {
    auto keep_running = asio::make_work_guard(io_);
    io_.restart();  // the end of the last guard has stopped it
    constexpr int idle_steps_max = 6'000;
    for (int idle = 0; !done();) {
      idle = io_.run_one_for(std::chrono::milliseconds(10)) == 0 ? idle + 1 : 0;
      if (idle == idle_steps_max) FAIL() << "nothing happens any more";
    }
  }
  template <class T>
  T run(Async<T> work) {
    std::exception_ptr exception;
    std::optional<T> value;
    asio::co_spawn(io_.get_executor(), std::move(work), [&](std::exception_ptr e, T v) {
      exception = e;
      value.emplace(std::move(v));
    });
    run_until([&] { return value.has_value(); });
    if (exception) std::rethrow_exception(exception);
    return std::move(*value);
  }
  void run(Async<> work) {
    std::exception_ptr exception;
    bool done = false;
    asio::co_spawn(io_.get_executor(), std::move(work), [&](std::exception_ptr e) {
      exception = e;
      done = true;
    });
    run_until([&] { return done; });
    if (exception) std::rethrow_exception(exception);
  }
  template <class Work>
  std::optional<ErrorCode> error_of_running(Work work) {
    try {
      run(work());
    } catch (const Error& error) {
      return error.code();
    }
    return std::nullopt;
  }

  void put(const std::string& name, const std::string& bytes, std::int64_t bytes_expected = -1) {
    run(store_->put(name, {0, "text/plain", ""}, std::make_shared<PiecesBody>(bytes), bytes_expected));
  }
  std::string get(const std::string& name, std::int64_t offset = 0, std::int64_t bytes = -1) {
    OpenObject object = run(store_->open(name, offset, bytes));
    return run(net::read_all(*object.body, 64u << 20));
  }

  asio::io_context io_;
  SystemEnv env_;
  std::string root_;
  std::unique_ptr<ObjectStore> store_;
};

TEST_F(FileStoreTest, WhatIsPutIsThereAfterAStart) {
  std::string bytes = some_bytes(1'000'003);
  run(store_->put("run/0/public/a.bin", {0, "application/x-thing", "gzip"}, std::make_shared<PiecesBody>(bytes), -1));
  open_store();
  ObjectInfo info = run(store_->info("run/0/public/a.bin"));
  EXPECT_EQ(info.bytes, 1'000'003);
  EXPECT_EQ(info.content_type, "application/x-thing");
  EXPECT_EQ(info.content_encoding, "gzip");
  EXPECT_EQ(get("run/0/public/a.bin"), bytes);
  EXPECT_EQ(temp_files(), 0u);
}

TEST_F(FileStoreTest, AnEmptyObjectIsAnObject) {
  put("empty", "", 0);
  EXPECT_EQ(run(store_->info("empty")).bytes, 0);
  EXPECT_EQ(get("empty"), "");
}

TEST_F(FileStoreTest, RangesAreCutAtTheEndOfTheObject) {
  std::string bytes = some_bytes(600'000);
  put("a", bytes);
  EXPECT_EQ(get("a", 0, 1), bytes.substr(0, 1));
  EXPECT_EQ(get("a", 262'140, 10), bytes.substr(262'140, 10));
  EXPECT_EQ(get("a", 599'999), bytes.substr(599'999));
  EXPECT_EQ(get("a", 599'990, 1'000'000), bytes.substr(599'990));
  EXPECT_EQ(get("a", 600'000), "");
  EXPECT_EQ(get("a", 5, 0), "");
  EXPECT_EQ(error_of_running([&] { return store_->open("a", 600'001, -1); }), ErrorCode::invalid_input);
  EXPECT_EQ(error_of_running([&] { return store_->open("a", -1, -1); }), ErrorCode::invalid_input);
}

TEST_F(FileStoreTest, PiecesOfABodyAreSmall) {
  put("a", some_bytes(700'000));
  OpenObject object = run(store_->open("a"));
  while (true) {
    std::string piece = run(object.body->read_some());
    if (piece.empty()) break;
    EXPECT_LE(piece.size(), 256u * 1024);
  }
}

TEST_F(FileStoreTest, ABodyOfAnotherLengthKeepsTheOldObject) {
  put("a", "old");
  EXPECT_EQ(error_of_running([&] { return store_->put("a", {}, std::make_shared<PiecesBody>("too short"), 10); }),
            ErrorCode::invalid_input);
  EXPECT_EQ(error_of_running([&] { return store_->put("a", {}, std::make_shared<PiecesBody>("too long for it"), 10); }),
            ErrorCode::invalid_input);
  EXPECT_EQ(error_of_running([&] {
              return store_->put("a", {}, std::make_shared<PiecesBody>(some_bytes(900'000), 50'000, true), -1);
            }),
            ErrorCode::unavailable);
  EXPECT_EQ(get("a"), "old");
  run_until([&] { return temp_files() == 0; });
}

TEST_F(FileStoreTest, APutReplacesTheWholeObject) {
  put("a", some_bytes(500'000));
  OpenObject before = run(store_->open("a"));
  run(store_->put("a", {0, "application/json", "gzip"}, std::make_shared<PiecesBody>("{}"), 2));
  EXPECT_EQ(get("a"), "{}");
  EXPECT_EQ(run(store_->info("a")).content_type, "application/json");
  EXPECT_EQ(run(net::read_all(*before.body, 1u << 20)), some_bytes(500'000)) << "who reads the old one reads it whole";
  EXPECT_EQ(object_files().size(), 1u);
}

TEST_F(FileStoreTest, WhatIsMissingIsNotFound) {
  EXPECT_EQ(error_of_running([&] { return store_->open("a", 0, -1); }), ErrorCode::not_found);
  EXPECT_EQ(error_of_running([&] { return store_->info("a"); }), ErrorCode::not_found);
  run(store_->remove("a"));
  put("a", "x");
  run(store_->remove("a"));
  EXPECT_EQ(error_of_running([&] { return store_->info("a"); }), ErrorCode::not_found);
  EXPECT_TRUE(object_files().empty());
}

TEST_F(FileStoreTest, NamesAreNeverPaths) {
  std::vector<std::string> names = {"../../../escape",
                                    "/etc/passwd",
                                    "a/b/../c",
                                    std::string("a\0b", 3),
                                    "a",
                                    "grüße/日本語/\U0001F600",
                                    "\xff\xfe raw",
                                    std::string(2048, '\0'),
                                    std::string(2048, 'n'),
                                    ".",
                                    "..",
                                    "a/"};
  for (const auto& name : names) put(name, "content of " + name);
  open_store();
  for (const auto& name : names) EXPECT_EQ(get(name), "content of " + name);
  EXPECT_EQ(object_files().size(), names.size());
  EXPECT_THAT(std::vector<fs::path>(fs::directory_iterator(root_), {}), testing::SizeIs(1))
      << "nothing beside the store";
  EXPECT_EQ(error_of_running([&] { return store_->info(""); }), ErrorCode::invalid_input);
  EXPECT_EQ(error_of_running([&] { return store_->info(std::string(2049, 'n')); }), ErrorCode::invalid_input);
}

TEST_F(FileStoreTest, PutsOfOneNameAtTheSameTimeLeaveOneOfThemWhole) {
  std::vector<std::string> bodies;
  int done = 0;
  for (int i = 0; i < 8; ++i) {
    bodies.push_back(std::string(300'000 + static_cast<std::size_t>(i), static_cast<char>('a' + i)));
    asio::co_spawn(io_.get_executor(), store_->put("a", {}, std::make_shared<PiecesBody>(bodies.back(), 10'000), -1),
                   [&](std::exception_ptr exception) {
                     EXPECT_FALSE(exception);
                     ++done;
                   });
  }
  run_until([&] { return done == 8; });
  EXPECT_THAT(bodies, testing::Contains(get("a")));
  EXPECT_EQ(object_files().size(), 1u);
  EXPECT_EQ(temp_files(), 0u);
}

TEST_F(FileStoreTest, ACancelledPutLeavesNothing) {
  Scope scope(io_.get_executor(), "test");
  auto body = std::make_shared<SilentBody>();
  scope.spawn("put", store_->put("a", {}, body, -1));
  run_until([&] { return body->event.waiting() == 1; });
  EXPECT_EQ(temp_files(), 1u);
  scope.cancel();
  run(scope.join());
  run_until([&] { return temp_files() == 0; });
  EXPECT_TRUE(object_files().empty());
}

TEST_F(FileStoreTest, AStartSweepsWhatACrashLeft) {
  put("a", "x");
  std::ofstream(directory() + "/temp/0123456789abcdef") << "half an object";
  open_store();
  EXPECT_EQ(temp_files(), 0u);
  EXPECT_EQ(get("a"), "x");
}

TEST_F(FileStoreTest, TwoProcessesCannotShareADirectory) {
  try {
    make_file_store(env_, directory());
    FAIL() << "a second store was opened";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::conflict);
  }
}

TEST_F(FileStoreTest, OnlyTheOwnerCanReadTheDirectory) {
  struct stat status{};
  ASSERT_EQ(::stat(directory().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0700u);
}

TEST_F(FileStoreTest, AFinishedFileIsTakenOver) {
  std::string path = root_ + "/spool.log";
  std::ofstream(path) << "line 1\nline 2\n";
  run(store_->adopt_file("log", {0, "text/plain; charset=utf-8", ""}, path));
  EXPECT_FALSE(fs::exists(path));
  EXPECT_EQ(get("log"), "line 1\nline 2\n");
  EXPECT_EQ(run(store_->info("log")).content_type, "text/plain; charset=utf-8");
  EXPECT_EQ(error_of_running([&] { return store_->adopt_file("log", {}, path); }), ErrorCode::not_found);
}

TEST_F(FileStoreTest, TakingOverAgainAfterACrashDoesNotKeepTheFirstTrailer) {
  std::string path = root_ + "/spool.log";
  std::ofstream(path) << "line 1\n" << trailer_text({"log", {7, "text/plain", ""}});
  run(store_->adopt_file("log", {0, "text/plain", ""}, path));
  EXPECT_EQ(get("log"), "line 1\n");

  std::string other = "line 1\n" + trailer_text({"another object", {7, "text/plain", ""}});
  std::ofstream(path) << other;
  run(store_->adopt_file("log", {0, "text/plain", ""}, path));
  EXPECT_EQ(get("log"), other) << "that is content";
}

TEST_F(FileStoreTest, DamageIsNoticed) {
  put("a", some_bytes(5000));
  fs::path file = object_files().at(0);
  for (auto size : {std::uintmax_t{0}, std::uintmax_t{7}, fs::file_size(file) - 1}) {
    fs::resize_file(file, size);
    EXPECT_EQ(error_of_running([&] { return store_->open("a", 0, -1); }), ErrorCode::corrupt);
  }
  put("a", "x");
  put("b", "y");
  for (const auto& path : object_files()) {
    if (path != file) fs::copy_file(path, file, fs::copy_options::overwrite_existing);
  }
  EXPECT_EQ(error_of_running([&] { return store_->open("a", 0, -1); }), ErrorCode::corrupt) << "that is b's file";
}

TEST_F(FileStoreTest, BadInfoIsRefused) {
  auto body = std::make_shared<PiecesBody>("x");
  EXPECT_EQ(error_of_running([&] { return store_->put("a", {0, "text/plain", "br"}, body, -1); }),
            ErrorCode::invalid_input);
  EXPECT_EQ(error_of_running([&] { return store_->put("a", {0, std::string(256, 't'), ""}, body, -1); }),
            ErrorCode::invalid_input);
}

}  // namespace
}  // namespace gantry::object

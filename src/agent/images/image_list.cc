#include "agent/images/image_list.h"

#include <algorithm>
#include <filesystem>
#include <fstream>

#include <fmt/format.h>

#include "agent/images/limits.h"
#include "base/files.h"
#include "base/json.h"
#include "base/log.h"

namespace gantry::agent {
namespace {

constexpr std::int64_t format_version = 1;

Result<ImageEntry> read_entry(const json::value& value) {
  ObjectReader reader(value, "images[]");
  ImageEntry entry;
  constexpr ObjectReader::TextRule text{};
  entry.reference = reader.required_text("reference", {.characters_min = 1});
  entry.id = reader.text("id", text, "");
  entry.source = reader.text("source", text, "");
  entry.digest = reader.text("digest", text, "");
  entry.archive_sha256 = reader.text("archiveSha256", text, "");
  entry.bytes = reader.integer("bytes", 0, INT64_MAX, 0);
  entry.fetch_time = milliseconds(reader.integer("fetchMs", 0, INT32_MAX, 0));
  entry.acquired = reader.time("acquired").value_or(Time{});
  entry.last_used = reader.time("lastUsed").value_or(Time{});
  TRY(reader.finish());
  return entry;
}

Result<std::map<std::string, ImageEntry>> read_entries(const std::string& text) {
  TRY(json::value document, parse_json(text));
  ObjectReader reader(document, "");
  reader.required_integer("version", format_version, format_version);
  const json::array* images = reader.array("images", images_listed_max);
  TRY(reader.finish());
  std::map<std::string, ImageEntry> entries;
  if (!images) return entries;
  for (const json::value& value : *images) {
    TRY(ImageEntry entry, read_entry(value));
    std::string reference = entry.reference;
    entries[std::move(reference)] = std::move(entry);
  }
  return entries;
}

/// Whole or not at all; without waiting for the disk, for it may be lost.
void replace_file(const std::string& path, const std::string& text) {
  std::string fresh = path + ".new";
  std::ofstream file(fresh, std::ios::binary | std::ios::trunc);
  file << text;
  file.close();
  std::error_code error;
  if (file) std::filesystem::rename(fresh, path, error);
  if (!file || error) log_warning("cannot write {}: images of this agent may stay on the machine", path);
}

}  // namespace

ImageList::ImageList(Env& env, std::string path)
    : env_(env), path_(std::move(path)), scope_(env.executor(), "list of images") {
  read();
}

void ImageList::read() {
  std::string text;
  try {
    text = read_text_file(path_, image_list_bytes_max);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::not_found) log_warning("{}", error.message());
    return;
  }
  auto entries = read_entries(text);
  if (entries) {
    entries_ = std::move(entries).assume_value();
  } else {
    log_warning("{} is not usable: {}; images from before may stay on the machine", path_, entries.error().message());
  }
}

void ImageList::add(ImageEntry entry) {
  if (entries_.size() >= images_listed_max && !entries_.contains(entry.reference)) {
    auto oldest = std::ranges::min_element(entries_, {}, [](const auto& one) { return one.second.last_used; });
    entries_.erase(oldest);
  }
  std::string reference = entry.reference;
  entries_[std::move(reference)] = std::move(entry);
  changed();
}

void ImageList::remove(const std::string& reference) {
  if (entries_.erase(reference) > 0) changed();
}

const ImageEntry* ImageList::find(const std::string& reference) const {
  auto found = entries_.find(reference);
  return found == entries_.end() ? nullptr : &found->second;
}

std::vector<ImageEntry> ImageList::entries() const {
  std::vector<ImageEntry> list;
  for (const auto& [reference, entry] : entries_) {
    list.push_back(entry);
    list.back().in_use = in_use(reference);
  }
  return list;
}

void ImageList::begin_use(const std::string& reference) {
  ++in_use_[reference];
  auto entry = entries_.find(reference);
  if (entry == entries_.end()) return;
  entry->second.last_used = env_.now();
  uses_unsaved_ = true;
  if (env_.now() - saved_ >= image_list_interval) changed();
}

void ImageList::end_use(const std::string& reference) {
  auto count = in_use_.find(reference);
  if (count != in_use_.end() && --count->second <= 0) in_use_.erase(count);
  auto entry = entries_.find(reference);
  if (entry == entries_.end()) return;
  entry->second.last_used = env_.now();
  uses_unsaved_ = true;
}

void ImageList::save_uses() {
  if (uses_unsaved_) changed();
}

int ImageList::in_use(const std::string& reference) const {
  auto count = in_use_.find(reference);
  return count == in_use_.end() ? 0 : count->second;
}

void ImageList::changed() {
  dirty_ = true;
  if (saving_) return;
  saving_ = true;
  scope_.spawn("save", save());
}

std::string ImageList::text() const {
  std::string text;
  JsonWriter out(text);
  out.begin_object().field("version", format_version).key("images").begin_array();
  for (const auto& [reference, entry] : entries_) {
    out.begin_object().field("reference", reference).field("id", entry.id).field("source", entry.source);
    out.field("digest", entry.digest).field("archiveSha256", entry.archive_sha256).field("bytes", entry.bytes);
    out.field("fetchMs", entry.fetch_time.count());
    out.field("acquired", entry.acquired).field("lastUsed", entry.last_used).end_object();
  }
  out.end_array().end_object();
  return text + "\n";
}

/// One at a time, and what has changed meanwhile once more.
Async<> ImageList::save() {
  while (dirty_) {
    dirty_ = false;
    uses_unsaved_ = false;
    saved_ = env_.now();
    co_await env_.blocking([path = path_, text = text()] { replace_file(path, text); });
  }
  saving_ = false;
}

Async<> ImageList::stop() {
  co_await scope_.join();
  dirty_ = dirty_ || !entries_.empty();
  co_await save();
}

}  // namespace gantry::agent

#include "media/subtitle_text.h"

#include <algorithm>
#include <cstring>
#include <string_view>

#include "media/utf8.h"

namespace millrace {
namespace {

struct Named {
  std::string_view name, text;
};
// Of WebVTT section 3.4; directions are not words.
constexpr Named kCharacters[] = {{"&amp;", "&"},  {"&lt;", "<"}, {"&gt;", ">"},
                                 {"&nbsp;", " "}, {"&lrm;", ""}, {"&rlm;", ""}};

// The text within a cue.
std::span<std::uint8_t> TextOf(SubtitleFormat format, std::span<std::uint8_t> cue) {
  if (format == SubtitleFormat::kTimed) {
    if (cue.size() < 2) return {};
    const std::size_t told = std::size_t{cue[0]} << 8 | cue[1];
    cue = cue.subspan(2, std::min(told, cue.size() - 2));
    // UTF-16, which grows when it is written as UTF-8.
    const bool wide = cue.size() >= 2 &&
                      ((cue[0] == 0xfe && cue[1] == 0xff) || (cue[0] == 0xff && cue[1] == 0xfe));
    return wide ? std::span<std::uint8_t>() : cue;
  }
  if (format == SubtitleFormat::kAdvanced) {
    for (int field = 0; field < 8; ++field) {
      const auto comma = std::ranges::find(cue, ',');
      if (comma == cue.end()) return {};
      cue = cue.subspan(static_cast<std::size_t>(comma - cue.begin()) + 1);
    }
  }
  return cue;
}

// Writes words over the cue that they come from; never more than has been read.
class Words {
 public:
  Words(SubtitleFormat format, std::span<std::uint8_t> cue)
      : format_(format), out_(cue.data()), text_(TextOf(format, cue)) {}

  std::size_t Keep() {
    while (!text_.empty()) {
      if (!SkipMarkup()) KeepCharacter();
    }
    while (size_ > 0 && (out_[size_ - 1] == '\n' || out_[size_ - 1] == ' ')) --size_;
    return size_;
  }

 private:
  bool StartsWith(std::string_view prefix) const {
    return text_.size() >= prefix.size() &&
           std::memcmp(text_.data(), prefix.data(), prefix.size()) == 0;
  }

  void Put(std::uint8_t byte) {
    const bool blank = byte == '\n' || byte == ' ';
    if (blank && (size_ == 0 || out_[size_ - 1] == '\n')) return;  // nor empty lines
    out_[size_++] = byte;
  }

  // Up to and with `last`; false when that does not come, which is then so for the rest of the cue.
  bool SkipTo(std::uint8_t last) {
    bool& open_ended = last == '>' ? open_tag_ : open_brace_;
    if (open_ended) return false;
    const auto end = std::ranges::find(text_, last);
    open_ended = end == text_.end();
    if (open_ended) return false;
    text_ = text_.subspan(static_cast<std::size_t>(end - text_.begin()) + 1);
    return true;
  }

  bool SkipMarkup() {
    const bool tags = format_ == SubtitleFormat::kSubRip || format_ == SubtitleFormat::kWebVtt;
    if (tags && text_.front() == '<' && LooksLikeTag()) return SkipTo('>');
    if (format_ == SubtitleFormat::kAdvanced && text_.front() == '{') return SkipTo('}');
    if (format_ == SubtitleFormat::kSubRip && StartsWith("{\\")) return SkipTo('}');
    if (format_ == SubtitleFormat::kAdvanced && text_.front() == '\\' && text_.size() >= 2) {
      const std::uint8_t what = text_[1];
      if (what != 'N' && what != 'n' && what != 'h') return false;
      text_ = text_.subspan(2);
      Put(what == 'h' ? ' ' : '\n');
      return true;
    }
    if (format_ != SubtitleFormat::kWebVtt || text_.front() != '&') return false;
    for (const Named& character : kCharacters) {
      if (!StartsWith(character.name)) continue;
      text_ = text_.subspan(character.name.size());
      for (const char c : character.text) Put(static_cast<std::uint8_t>(c));
      return true;
    }
    return false;
  }

  // "a < b" is no tag.
  bool LooksLikeTag() const {
    if (text_.size() < 2) return false;
    const auto c = static_cast<std::uint8_t>(text_[1] | 0x20);
    return (c >= 'a' && c <= 'z') || text_[1] == '/' ||
           (format_ == SubtitleFormat::kWebVtt && text_[1] >= '0' && text_[1] <= '9');
  }

  void KeepCharacter() {
    const std::size_t bytes = Utf8CharacterBytes(text_);
    const std::uint8_t first = text_.front();
    if (bytes == 1 && (first == '\n' || first >= 0x20) && first != 0x7f) {
      Put(first);
    } else if (first == '\t') {
      Put(' ');
    } else if (bytes > 1 && !IsMark(bytes)) {
      // Downwards where they overlap.
      std::memmove(out_ + size_, text_.data(), bytes);
      size_ += bytes;
    }
    text_ = text_.subspan(std::max<std::size_t>(bytes, 1));
  }

  // The byte order mark, and C1 controls.
  bool IsMark(std::size_t bytes) const {
    return (bytes == 3 && StartsWith("\xef\xbb\xbf")) ||
           (bytes == 2 && text_[0] == 0xc2 && text_[1] < 0xa0);
  }

  const SubtitleFormat format_;
  std::uint8_t* const out_;
  std::size_t size_ = 0;
  bool open_tag_ = false, open_brace_ = false;  // there is no '>' and no '}' any more
  std::span<std::uint8_t> text_;  // what is still to be read; never before out_ + size_
};

}  // namespace

std::size_t KeepWords(SubtitleFormat format, std::span<std::uint8_t> cue) {
  return Words(format, cue).Keep();
}

}  // namespace millrace

// The header packets of Vorbis and Theora as tests make them.
#pragma once

#include "media/track.h"

namespace millrace::testing {

// Laces as Matroska's CodecPrivate does.
inline Bytes LaceXiphHeaders(const Bytes& identification, const Bytes& comment,
                             const Bytes& setup) {
  Bytes laced = {2};
  for (const Bytes* packet : {&identification, &comment}) {
    laced.insert(laced.end(), packet->size() / 255, 255);
    laced.push_back(static_cast<std::uint8_t>(packet->size() % 255));
  }
  for (const Bytes* packet : {&identification, &comment, &setup}) {
    laced.insert(laced.end(), packet->begin(), packet->end());
  }
  return laced;
}

}  // namespace millrace::testing

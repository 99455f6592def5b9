"""The course as data: typed models of the hand-written files under `course/`, and what is built from them."""

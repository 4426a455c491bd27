package score

-- CreateTable
CREATE TABLE "applied_documents" (
    "project_id" UUID NOT NULL,
    "kind" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "thing_id" UUID NOT NULL,

    CONSTRAINT "applied_documents_pkey" PRIMARY KEY ("project_id","kind","name")
);
